// Go's Iceberg library on a running catalog, whose address is in CATALOG_URI.
package catalog

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/view"
)

var columns = iceberg.NewSchema(0,
	iceberg.NestedField{ID: 1, Name: "id", Type: iceberg.PrimitiveTypes.Int64, Required: true},
	iceberg.NestedField{ID: 2, Name: "city", Type: iceberg.PrimitiveTypes.String},
)

// connect returns a catalog; the test fails if it cannot be had.
func connect(t *testing.T) *rest.Catalog {
	t.Helper()
	uri := os.Getenv("CATALOG_URI")
	if uri == "" {
		t.Fatal("CATALOG_URI is not set: tests/engines/test_go.py starts a catalog and sets it")
	}
	lake := must(rest.NewCatalog(t.Context(), "lake", uri, rest.WithWarehouseLocation("default")))(t)
	t.Cleanup(func() { ok(t, lake.Close()) })
	return lake
}

// room makes a namespace of the test's own.
func room(t *testing.T, lake *rest.Catalog, name string) table.Identifier {
	t.Helper()
	namespace := table.Identifier{name}
	ok(t, lake.CreateNamespace(t.Context(), namespace, nil))
	return namespace
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return value
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t *testing.T, err, with error) {
	t.Helper()
	if !errors.Is(err, with) {
		t.Fatalf("%v is not: %v", err, with)
	}
}

func equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func names(t *testing.T, lake *rest.Catalog, namespace table.Identifier) string {
	t.Helper()
	var found []string
	for name, err := range lake.ListTables(t.Context(), namespace) {
		ok(t, err)
		found = append(found, strings.Join(name, "."))
	}
	slices.Sort(found)
	return strings.Join(found, " ")
}

func rows(t *testing.T, cities ...string) arrow.Table {
	t.Helper()
	schema := must(table.SchemaToArrowSchema(columns, nil, false, false))(t)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	for number, city := range cities {
		builder.Field(0).(*array.Int64Builder).Append(int64(number))
		builder.Field(1).(*array.StringBuilder).Append(city)
	}
	batch := builder.NewRecordBatch()
	defer batch.Release()
	return array.NewTableFromRecords(schema, []arrow.RecordBatch{batch})
}

func count(t *testing.T, of *table.Table, options ...table.ScanOption) int64 {
	t.Helper()
	scan := of.Scan(options...)
	found := must(scan.ToArrowTable(t.Context()))(t)
	defer found.Release()
	ok(t, scan.Close())
	return found.NumRows()
}

func TestNamespaces(t *testing.T) {
	lake := connect(t)
	outer := room(t, lake, "go names")
	inner := append(slices.Clone(outer), "ï/% ?") // a + of Go's is a space of Java's in the path
	ok(t, lake.CreateNamespace(t.Context(), inner, iceberg.Properties{"owner": "go", "gone": "1"}))
	fails(t, lake.CreateNamespace(t.Context(), inner, nil), catalog.ErrNamespaceAlreadyExists)
	fails(t, lake.DropNamespace(t.Context(), outer), catalog.ErrNamespaceNotEmpty)
	found := must(lake.ListNamespaces(t.Context(), outer))(t)
	equal(t, len(found), 1)
	equal(t, strings.Join(found[0], "|"), strings.Join(inner, "|"))
	summary := must(lake.UpdateNamespaceProperties(
		t.Context(), inner, []string{"gone", "never"}, iceberg.Properties{"owner": "me"},
	))(t)
	equal(t, strings.Join(summary.Missing, " "), "never")
	kept := must(lake.LoadNamespaceProperties(t.Context(), inner))(t)
	equal(t, kept["owner"], "me")
	equal(t, kept["gone"], "")
	equal(t, must(lake.CheckNamespaceExists(t.Context(), inner))(t), true)
	ok(t, lake.DropNamespace(t.Context(), inner))
	equal(t, must(lake.CheckNamespaceExists(t.Context(), inner))(t), false)
	_, err := lake.LoadNamespaceProperties(t.Context(), inner)
	fails(t, err, catalog.ErrNoSuchNamespace)
}

func TestTables(t *testing.T) {
	lake := connect(t)
	home := room(t, lake, "go_tables")
	name := append(slices.Clone(home), "t")
	spec := iceberg.NewPartitionSpec(iceberg.PartitionField{
		SourceIDs: []int{1}, FieldID: 1000, Name: "bucket", Transform: iceberg.BucketTransform{NumBuckets: 4},
	})
	made := must(lake.CreateTable(
		t.Context(), name, columns,
		catalog.WithPartitionSpec(&spec), catalog.WithProperties(iceberg.Properties{"k": "v"}),
	))(t)
	equal(t, made.Properties()["k"], "v")
	spread := made.Spec()
	equal(t, spread.NumFields(), 1)
	_, err := lake.CreateTable(t.Context(), name, columns)
	fails(t, err, catalog.ErrTableAlreadyExists)
	equal(t, names(t, lake, home), "go_tables.t")

	change := made.NewTransaction()
	ok(t, change.SetProperties(iceberg.Properties{"k": "w", "new": "1"}))
	update := change.UpdateSchema(true, false)
	update.AddColumn([]string{"height"}, iceberg.PrimitiveTypes.Float64, "in m", false, nil)
	update.RenameColumn([]string{"city"}, "town")
	ok(t, update.Commit())
	must(change.Commit(t.Context()))(t)
	loaded := must(lake.LoadTable(t.Context(), name))(t)
	equal(t, loaded.Properties()["k"], "w")
	height, there := loaded.Schema().FindFieldByName("height")
	equal(t, there, true)
	equal(t, height.ID, 3)
	town, _ := loaded.Schema().FindFieldByName("town")
	equal(t, town.ID, 2)

	other := append(slices.Clone(home), "u")
	renamed := must(lake.RenameTable(t.Context(), name, other))(t)
	equal(t, renamed.Metadata().TableUUID(), made.Metadata().TableUUID())
	_, err = lake.LoadTable(t.Context(), name)
	fails(t, err, catalog.ErrNoSuchTable)
	ok(t, lake.DropTable(t.Context(), other))
	equal(t, must(lake.CheckTableExists(t.Context(), other))(t), false)
	again := must(lake.RegisterTable(t.Context(), name, loaded.MetadataLocation()))(t)
	equal(t, again.Properties()["new"], "1")
	ok(t, lake.PurgeTable(t.Context(), name))
	fails(t, lake.DropTable(t.Context(), name), catalog.ErrNoSuchTable)
	equal(t, names(t, lake, home), "")
}

func TestRows(t *testing.T) {
	lake := connect(t)
	name := append(room(t, lake, "go_rows"), "t") // stays, for others to read
	current := must(lake.CreateTable(t.Context(), name, columns))(t)
	for _, cities := range [][]string{{"Newark", "New York"}, {"Albany", "Buffalo", "Newark"}} {
		some := rows(t, cities...)
		current = must(current.AppendTable(t.Context(), some, 10, nil))(t)
		some.Release()
	}
	equal(t, count(t, current), 5)
	first := current.Metadata().Snapshots()[0].SnapshotID
	equal(t, count(t, current, table.WithSnapshotID(first)), 2)
	newark := iceberg.EqualTo(iceberg.Reference("city"), "Newark")
	for _, mode := range []table.ScanPlanningMode{table.ScanPlanningLocal, table.ScanPlanningRemote} {
		found := count(t, current, table.WithRowFilter(newark), table.WithScanPlanningMode(mode))
		equal(t, found, 2)
	}
	current = must(current.Delete(t.Context(), newark, nil))(t)
	equal(t, count(t, must(lake.LoadTable(t.Context(), name))(t)), 3)
}

func TestConcurrentCommits(t *testing.T) {
	lake := connect(t)
	home := room(t, lake, "go_races")
	name := append(slices.Clone(home), "t")
	// The library tries an append again on what it missed, if it is told how often.
	retries := catalog.WithProperties(iceberg.Properties{table.CommitNumRetriesKey: "4"})
	made := must(lake.CreateTable(t.Context(), name, columns, retries))(t)
	some := rows(t, "Newark")
	defer some.Release()
	stale := must(made.AppendTable(t.Context(), some, 10, nil))(t)
	must(must(lake.LoadTable(t.Context(), name))(t).AppendTable(t.Context(), some, 10, nil))(t)
	current := must(stale.AppendTable(t.Context(), some, 10, nil))(t)
	equal(t, count(t, current), 3)

	// What else it sends is refused: the branch is not where it is asserted to be.
	asserted := table.AssertRefSnapshotID("main", nil)
	set := table.NewSetPropertiesUpdate(iceberg.Properties{"k": "v"})
	_, _, err := lake.CommitTable(
		t.Context(), name, []table.Requirement{asserted}, []table.Update{set},
	)
	fails(t, err, table.ErrCommitFailed)
	_, there := must(lake.LoadTable(t.Context(), name))(t).Properties()["k"]
	equal(t, there, false)
}

func TestTransactionOfTwoTables(t *testing.T) {
	lake := connect(t)
	home := room(t, lake, "go_together")
	together := must(catalog.NewMultiTableTransaction(lake))(t)
	for _, name := range []string{"a", "b"} {
		made := must(lake.CreateTable(t.Context(), append(slices.Clone(home), name), columns))(t)
		change := made.NewTransaction()
		ok(t, change.SetProperties(iceberg.Properties{"name": name}))
		ok(t, together.AddTransaction(change))
	}
	ok(t, together.Commit(t.Context()))
	for _, name := range []string{"a", "b"} {
		loaded := must(lake.LoadTable(t.Context(), append(slices.Clone(home), name)))(t)
		equal(t, loaded.Properties()["name"], name)
	}
}

func TestViews(t *testing.T) {
	lake := connect(t)
	home := room(t, lake, "go_views")
	name := append(slices.Clone(home), "v")
	version := must(view.NewVersionFromSQL(1, 0, "SELECT 1 AS id, 'x' AS city", home))(t)
	must(lake.CreateView(t.Context(), name, version, columns))(t)
	_, err := lake.CreateView(t.Context(), name, version, columns)
	fails(t, err, catalog.ErrViewAlreadyExists)
	loaded := must(lake.LoadView(t.Context(), name))(t)
	equal(t, loaded.Metadata().CurrentVersion().Representations[0].Sql, "SELECT 1 AS id, 'x' AS city")
	equal(t, must(lake.CheckViewExists(t.Context(), name))(t), true)
	ok(t, lake.DropView(t.Context(), name))
	_, err = lake.LoadView(context.Background(), name)
	fails(t, err, catalog.ErrNoSuchView)
}
