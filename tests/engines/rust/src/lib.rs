//! Rust's Iceberg library on a running catalog, whose address is in CATALOG_URI.
#![cfg(test)]

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringArray};
use futures::TryStreamExt;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::expr::Reference;
use iceberg::io::LocalFsStorageFactory;
use iceberg::spec::{DataFile, DataFileFormat, Datum, NestedField, PrimitiveType, Schema, Type};
use iceberg::table::Table;
use iceberg::transaction::{AddColumn, ApplyTransactionAction, Transaction};
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{
    DefaultFileNameGenerator, DefaultLocationGenerator,
};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use iceberg::{
    Catalog, CatalogBuilder, ErrorKind, NamespaceIdent, Result, TableCreation, TableIdent,
};
use iceberg_catalog_rest::{RestCatalog, RestCatalogBuilder};
use parquet::file::properties::WriterProperties;

async fn connect() -> RestCatalog {
    let uri = std::env::var("CATALOG_URI")
        .expect("CATALOG_URI is not set: tests/engines/test_rust.py starts a catalog and sets it");
    RestCatalogBuilder::default()
        .with_storage_factory(Arc::new(LocalFsStorageFactory))
        .load("lake", texts([("uri", &uri), ("warehouse", "default")]))
        .await
        .unwrap()
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs.map(|(key, value)| (key.into(), value.into())).into()
}

fn columns() -> Schema {
    let id = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let city = NestedField::optional(2, "city", Type::Primitive(PrimitiveType::String));
    Schema::builder()
        .with_fields([id.into(), city.into()])
        .build()
        .unwrap()
}

/// Make a namespace of the test's own and a table in it.
async fn table(lake: &RestCatalog, namespace: &str) -> Table {
    let home = NamespaceIdent::new(namespace.into());
    lake.create_namespace(&home, HashMap::new()).await.unwrap();
    let wanted = TableCreation::builder()
        .name("t".into())
        .schema(columns())
        .properties(texts([("k", "v"), ("gone", "1")]))
        .build();
    lake.create_table(&home, wanted).await.unwrap()
}

async fn write(table: &Table, cities: &[&str]) -> Vec<DataFile> {
    let parquet = ParquetWriterBuilder::new(
        WriterProperties::default(),
        table.metadata().current_schema().clone(),
    );
    let files = RollingFileWriterBuilder::new_with_default_file_size(
        parquet,
        table.file_io().clone(),
        DefaultLocationGenerator::new(table.metadata()).unwrap(),
        DefaultFileNameGenerator::new(cities.concat(), None, DataFileFormat::Parquet),
    );
    let mut writer = DataFileWriterBuilder::new(files).build(None).await.unwrap();
    let schema = schema_to_arrow_schema(table.metadata().current_schema()).unwrap();
    let ids = Int64Array::from_iter_values(0..cities.len() as i64);
    let names = StringArray::from(cities.to_vec());
    let batch =
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(names)]).unwrap();
    writer.write(batch).await.unwrap();
    writer.close().await.unwrap()
}

async fn append(lake: &RestCatalog, table: &Table, cities: &[&str]) -> Result<Table> {
    let files = write(table, cities).await;
    let change = Transaction::new(table);
    let change = change.fast_append().add_data_files(files).apply(change)?;
    change.commit(lake).await
}

async fn count(table: &Table, city: Option<&str>) -> usize {
    let mut scan = table.scan();
    if let Some(city) = city {
        scan = scan.with_filter(Reference::new("city").equal_to(Datum::string(city)));
    }
    let batches = scan.build().unwrap().to_arrow().await.unwrap();
    let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test]
async fn namespaces() {
    let lake = connect().await;
    let outer = NamespaceIdent::new("rust names".into());
    let inner = NamespaceIdent::from_strs(["rust names", "ï"]).unwrap();
    lake.create_namespace(&outer, HashMap::new()).await.unwrap();
    let made = lake
        .create_namespace(&inner, texts([("owner", "rust")]))
        .await
        .unwrap();
    assert_eq!(made.properties()["owner"], "rust");
    let again = lake
        .create_namespace(&inner, HashMap::new())
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NamespaceAlreadyExists);
    assert_eq!(
        lake.list_namespaces(Some(&outer)).await.unwrap(),
        std::slice::from_ref(&inner)
    );
    assert!(lake.list_namespaces(None).await.unwrap().contains(&outer));
    assert!(lake.drop_namespace(&outer).await.is_err());
    assert_eq!(
        lake.get_namespace(&inner).await.unwrap().properties()["owner"],
        "rust"
    );
    lake.drop_namespace(&inner).await.unwrap();
    assert!(!lake.namespace_exists(&inner).await.unwrap());
    let gone = lake.get_namespace(&inner).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NamespaceNotFound);
}

#[tokio::test]
async fn tables() {
    let lake = connect().await;
    let made = table(&lake, "rust_tables").await;
    let home = made.identifier().namespace().clone();
    assert_eq!(made.metadata().properties()["k"], "v");
    let wanted = TableCreation::builder()
        .name("t".into())
        .schema(columns())
        .build();
    let again = lake.create_table(&home, wanted).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::TableAlreadyExists);
    assert_eq!(
        lake.list_tables(&home).await.unwrap(),
        [made.identifier().clone()]
    );

    let change = Transaction::new(&made);
    let properties = change.update_table_properties();
    let change = properties
        .set("k".into(), "w".into())
        .remove("gone".into())
        .apply(change);
    let change = change.unwrap();
    let height = AddColumn::optional("height", Type::Primitive(PrimitiveType::Double));
    let change = change
        .update_schema()
        .add_column(height)
        .apply(change)
        .unwrap();
    change.commit(&lake).await.unwrap();
    let loaded = lake.load_table(made.identifier()).await.unwrap();
    assert_eq!(loaded.metadata().properties()["k"], "w");
    assert!(!loaded.metadata().properties().contains_key("gone"));
    assert_eq!(
        loaded
            .metadata()
            .current_schema()
            .field_by_name("height")
            .unwrap()
            .id,
        3
    );

    let other = TableIdent::new(home.clone(), "ü b".into());
    lake.rename_table(made.identifier(), &other).await.unwrap();
    assert!(lake.table_exists(&other).await.unwrap());
    let gone = lake.load_table(made.identifier()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::TableNotFound);
    lake.drop_table(&other).await.unwrap();
    let location = loaded.metadata_location().unwrap().to_string();
    let back = lake
        .register_table(made.identifier(), location)
        .await
        .unwrap();
    assert_eq!(back.metadata().uuid(), made.metadata().uuid());
    lake.purge_table(made.identifier()).await.unwrap();
    assert!(lake.list_tables(&home).await.unwrap().is_empty());
}

#[tokio::test]
async fn rows() {
    let lake = connect().await;
    let empty = table(&lake, "rust_rows").await; // stays, for others to read
    let first = append(&lake, &empty, &["Newark", "New York"])
        .await
        .unwrap();
    append(&lake, &first, &["Albany", "Newark"]).await.unwrap();
    let loaded = lake.load_table(empty.identifier()).await.unwrap();
    assert_eq!(count(&loaded, None).await, 4);
    assert_eq!(count(&loaded, Some("Newark")).await, 2);
    assert_eq!(loaded.metadata().snapshots().count(), 2);
}

#[tokio::test]
async fn a_commit_that_came_late_is_tried_again() {
    let lake = connect().await;
    let stale = table(&lake, "rust_races").await;
    append(&lake, &stale, &["Newark"]).await.unwrap();
    let current = append(&lake, &stale, &["Albany"]).await.unwrap();
    assert_eq!(count(&current, None).await, 2);
    lake.drop_table(stale.identifier()).await.unwrap();
    let gone = append(&lake, &stale, &["Buffalo"]).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::TableNotFound);
}
