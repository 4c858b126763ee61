import java.util.Map;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.io.PositionOutputStream;
import org.apache.iceberg.io.SeekableInputStream;
import org.apache.iceberg.rest.RESTCatalog;
import org.apache.iceberg.types.Types;

/** Writes, reads and deletes a file of a table, and tries one beside it: Rows URI TABLE FILEIO. */
public class Rows {
  public static void main(String[] arguments) throws Exception {
    try (RESTCatalog catalog = new RESTCatalog()) {
      catalog.initialize(
          "lake",
          Map.of(
              "uri", arguments[0],
              "header.X-Iceberg-Access-Delegation", "vended-credentials",
              "io-impl", arguments[2]));
      TableIdentifier name = TableIdentifier.of("ns", arguments[1]);
      Types.NestedField field = Types.NestedField.optional(1, "i", Types.IntegerType.get());
      catalog.createTable(name, new Schema(field));
      Table table = catalog.loadTable(name);
      String path = table.location() + "/data/x y.bin";
      try (PositionOutputStream out = table.io().newOutputFile(path).create()) {
        out.write(new byte[] {1, 2, 3});
      }
      try (SeekableInputStream in = table.io().newInputFile(path).newStream()) {
        System.out.println("read " + in.readAllBytes().length);
      }
      table.io().deleteFile(path);
      System.out.println("exists " + table.io().newInputFile(path).exists());
      try {
        table.io().newInputFile(table.location() + "2/x").exists();
        System.out.println("not refused");
      } catch (RuntimeException error) {
        System.out.println(error.getMessage().lines().findFirst().get());
      }
    }
  }
}
