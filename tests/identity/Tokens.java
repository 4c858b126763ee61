import java.util.HashMap;
import java.util.Map;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.rest.RESTCatalog;

/** Creates namespaces for some seconds: Tokens URI SECONDS NAME PROPERTY=VALUE… */
public class Tokens {
  public static void main(String[] arguments) throws Exception {
    Map<String, String> properties = new HashMap<>();
    properties.put("uri", arguments[0]);
    properties.put("io-impl", "org.apache.iceberg.azure.adlsv2.ADLSFileIO"); // never used
    for (int i = 3; i < arguments.length; i++) {
      String[] pair = arguments[i].split("=", 2);
      properties.put(pair[0], pair[1]);
    }
    int count = 0;
    try (RESTCatalog catalog = new RESTCatalog()) {
      catalog.initialize("lake", properties);
      long end = System.currentTimeMillis() + 1000 * Long.parseLong(arguments[1]);
      while (System.currentTimeMillis() < end) {
        catalog.createNamespace(Namespace.of(arguments[2] + count));
        count++;
        Thread.sleep(100);
      }
      System.out.println(count + " of " + catalog.listNamespaces().size());
    }
  }
}
