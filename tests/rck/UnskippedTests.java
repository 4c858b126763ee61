package rck;

import org.apache.iceberg.rest.RESTCompatibilityKitCatalogTests;
import org.junit.jupiter.api.Test;

/**
 * Catalog tests of the kit that it skips against every catalog, for it has no switch for the
 * powers they need: namespaces inside namespaces, names with slashes, a location of its own for
 * each table. The runner selects these tests.
 */
public class UnskippedTests extends RESTCompatibilityKitCatalogTests {
  @Override
  protected boolean supportsNestedNamespaces() {
    return true;
  }

  @Override
  protected boolean supportsNamesWithSlashes() {
    return true;
  }

  /** Disabled in the kit because its own server would need a setting; ours always does this. */
  @Test
  @Override
  public void createTableInUniqueLocation() {
    super.createTableInUniqueLocation();
  }
}
