// Go's Iceberg library on a table in S3, with the catalog's address alone; it is in CATALOG_URI.
package s3

import (
	"context"
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog/rest"
	_ "github.com/apache/iceberg-go/io/gocloud"
	"github.com/apache/iceberg-go/table"
)

var columns = iceberg.NewSchema(0,
	iceberg.NestedField{ID: 1, Name: "id", Type: iceberg.PrimitiveTypes.Int64, Required: true},
)

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func numbers(t *testing.T, some ...int64) arrow.Table {
	t.Helper()
	schema := must(table.SchemaToArrowSchema(columns, nil, false, false))(t)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	builder.Field(0).(*array.Int64Builder).AppendValues(some, nil)
	batch := builder.NewRecordBatch()
	defer batch.Release()
	return array.NewTableFromRecords(schema, []arrow.RecordBatch{batch})
}

func count(t *testing.T, of *table.Table) int64 {
	t.Helper()
	scan := of.Scan()
	found := must(scan.ToArrowTable(t.Context()))(t)
	defer found.Release()
	return found.NumRows()
}

func TestRows(t *testing.T) {
	uri := os.Getenv("CATALOG_URI")
	if uri == "" {
		t.Fatal("CATALOG_URI is not set: tests/clouds/test_go_s3.py starts a catalog and sets it")
	}
	lake := must(rest.NewCatalog(t.Context(), "lake", uri, rest.WithWarehouseLocation("default")))(t)
	defer lake.Close()
	name := table.Identifier{"ns", "t"}
	current := must(lake.CreateTable(t.Context(), name, columns))(t)
	for _, some := range [][]int64{{1, 2}, {3, 4, 5}} {
		rows := numbers(t, some...)
		current = must(current.AppendTable(t.Context(), rows, 10, nil))(t)
		rows.Release()
	}
	current = must(current.Delete(context.Background(), iceberg.EqualTo(iceberg.Reference("id"), int64(4)), nil))(t)
	if found := count(t, must(lake.LoadTable(t.Context(), name))(t)); found != 4 {
		t.Fatalf("got %d rows, want 4", found)
	}
}
