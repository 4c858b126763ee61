package org.apache.iceberg.rest;

import java.lang.reflect.Field;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/** Runs RESTCatalogServer and prints its address, as the other servers of the benchmarks do. */
public class Listening {
  public static void main(String[] arguments) throws Exception {
    RESTCatalogServer catalog = new RESTCatalogServer();
    catalog.start(false);
    Field field = RESTCatalogServer.class.getDeclaredField("httpServer");
    field.setAccessible(true);
    ServerConnector connector = (ServerConnector) ((Server) field.get(catalog)).getConnectors()[0];
    connector.stop(); // it has no setting for the address, and listens on all of them
    connector.setHost("127.0.0.1");
    connector.start();
    System.out.println("Listening on http://127.0.0.1:" + connector.getLocalPort());
  }
}
