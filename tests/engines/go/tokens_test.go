package catalog

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/apache/iceberg-go/table"
)

// TestTokens works for TOKENS_SECONDS with a credential of the issuer at TOKENS_URI.
func TestTokens(t *testing.T) {
	issuer := os.Getenv("TOKENS_URI")
	if issuer == "" {
		t.Skip("TOKENS_URI is not set: tests/identity/test_clients.py starts an issuer and sets it")
	}
	seconds := must(strconv.Atoi(os.Getenv("TOKENS_SECONDS")))(t)
	lake := must(rest.NewCatalog(t.Context(), "lake", os.Getenv("CATALOG_URI"),
		rest.WithCredential(os.Getenv("TOKENS_CREDENTIAL")),
		rest.WithAuthURI(must(url.Parse(issuer))(t)),
		rest.WithScope("catalog")))(t)
	t.Cleanup(func() { ok(t, lake.Close()) })
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	count := 0
	for ; time.Now().Before(end); count++ {
		ok(t, lake.CreateNamespace(t.Context(), table.Identifier{fmt.Sprintf("go%d", count)}, nil))
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("%d of %d\n", count, len(must(lake.ListNamespaces(t.Context(), nil))(t)))
}
