// The SQL endpoint as pgjdbc meets it. Run by run.py; arguments pick cases by a word of their names.

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.StringWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.postgresql.PGConnection;

public class WithJdbc {
  static final String CENTRAL = System.getenv("CENTRAL_DSN"); // may switch to every tenant
  static final String TENANT = System.getenv("TENANT_DSN"); // of the first tenant, and may switch to none
  static final String[] TENANTS = System.getenv("TENANTS").split(",");
  static final String HOME = TENANTS[0];
  static final String WHERE = "SELECT current_database(), tenant FROM place";
  static final String SETTINGS =
      "SELECT current_setting('application_name'), current_setting('TimeZone'), current_setting('search_path')";

  interface Work {
    void run() throws Exception;
  }

  interface Numbered {
    void run(int i) throws Exception;
  }

  // Each statement is prepared under a name on the server when it is first used.
  static Connection connect(String dsn, String... more) throws SQLException {
    URI uri = URI.create(dsn);
    String[] user = uri.getUserInfo().split(":", 2);
    Properties properties = new Properties();
    properties.setProperty("user", user[0]);
    properties.setProperty("password", user[1]);
    properties.setProperty("prepareThreshold", "1");
    properties.setProperty("loginTimeout", "60");
    for (int i = 0; i < more.length; i += 2) properties.setProperty(more[i], more[i + 1]);
    return DriverManager.getConnection(
        "jdbc:postgresql://" + uri.getHost() + ":" + uri.getPort() + uri.getPath(), properties);
  }

  static void expect(String what, Object got, Object expected) {
    if (!Objects.equals(got, expected)) throw new AssertionError(what + ": expected " + expected + ", got " + got);
  }

  static void expectError(String what, String sqlState, Work work) throws Exception {
    try {
      work.run();
    } catch (SQLException error) {
      expect(what + " (" + error.getMessage() + ")", error.getSQLState(), sqlState);
      return;
    }
    throw new AssertionError(what + ": expected " + sqlState + ", but it worked");
  }

  static List<String> row(ResultSet rows) throws SQLException {
    if (!rows.next()) throw new AssertionError("no row");
    List<String> values = new ArrayList<>();
    for (int i = 1; i <= rows.getMetaData().getColumnCount(); ++i) values.add(rows.getString(i));
    return values;
  }

  static List<String> simple(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
      return row(rows);
    }
  }

  static List<String> bound(Connection connection, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (int i = 0; i < values.length; ++i) statement.setObject(i + 1, values[i]);
      try (ResultSet rows = statement.executeQuery()) {
        return row(rows);
      }
    }
  }

  static void execute(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  static List<String> placeOf(String tenant) {
    return tenant == null ? List.of("alpha_central", "central") : List.of("tenant_" + tenant + "_alpha", tenant);
  }

  static void expectPlace(String what, Connection connection, String tenant) throws SQLException {
    expect(what, bound(connection, WHERE), placeOf(tenant));
  }

  static void switchTo(Connection connection, String tenant) throws SQLException {
    bound(connection, "SELECT set_config('leasehold.tenant', ?, false)", tenant);
  }

  // work(0) … work(count - 1) at the same time, each on a thread; throws what went wrong first.
  static void everywhere(int count, Numbered work) throws Exception {
    Queue<Throwable> failures = new ConcurrentLinkedQueue<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(count)) {
      for (int i = 0; i < count; ++i) {
        int number = i;
        threads.submit(() -> {
          try {
            work.run(number);
          } catch (Throwable failure) {
            failures.add(failure);
          }
        });
      }
    }
    if (!failures.isEmpty()) throw new ExecutionException(failures.peek());
  }

  // Other clients' transactions, enough that every server connection has served somebody else meanwhile.
  static void othersAtWork() throws Exception {
    everywhere(12, i -> {
      try (Connection other = connect(CENTRAL)) {
        switchTo(other, TENANTS[i % TENANTS.length]);
        execute(other, "SET TimeZone = 'UTC+" + i % 12 + "'");
        execute(other, "SELECT pg_sleep(0.02)");
      }
    });
  }

  static void simpleQuery() throws Exception {
    try (Connection connection = connect(TENANT, "preferQueryMode", "simple")) {
      expect("where the lease begins", simple(connection, WHERE), placeOf(HOME));
      expect("a value pasted in", bound(connection, "SELECT ? || 'b'", "a"), List.of("ab"));
      try (Statement statement = connection.createStatement()) {
        List<Integer> results = new ArrayList<>();
        boolean more = statement.execute("SELECT 1; SELECT 2; SELECT 3");
        for (; more; more = statement.getMoreResults()) {
          statement.getResultSet().next();
          results.add(statement.getResultSet().getInt(1));
        }
        expect("statements in one string", results, List.of(1, 2, 3));
        ResultSet rows = statement.executeQuery("SELECT generate_series(1, 50000)");
        int count = 0;
        while (rows.next()) ++count;
        expect("many rows", count, 50000);
      }
    }
  }

  static void boundParameters() throws Exception {
    try (Connection connection = connect(TENANT, "prepareThreshold", "0");
        PreparedStatement statement =
            connection.prepareStatement("SELECT ?::int, ?::text, ?::bytea, ?::float8, ?::int[], ?::text")) {
      for (int i = 0; i < 3; ++i) {
        statement.setInt(1, 7);
        statement.setString(2, "é");
        statement.setBytes(3, new byte[] {0, -1});
        statement.setDouble(4, 0.5);
        statement.setArray(5, connection.createArrayOf("int", new Integer[] {1, 2}));
        statement.setString(6, null);
        try (ResultSet rows = statement.executeQuery()) {
          expect("a row", rows.next(), true);
          expect("an int", rows.getInt(1), 7);
          expect("a text", rows.getString(2), "é");
          expect("bytes", Arrays.toString(rows.getBytes(3)), "[0, -1]");
          expect("a double", rows.getDouble(4), 0.5);
          expect("an array", Arrays.toString((Object[]) rows.getArray(5).getArray()), "[1, 2]");
          expect("NULL", rows.getString(6), null);
        }
      }
    }
  }

  static void preparedStatements() throws Exception {
    try (Connection connection = connect(TENANT);
        PreparedStatement kept = connection.prepareStatement("SELECT ?::int + 1")) {
      for (int i = 0; i < 100; ++i) {
        kept.setInt(1, i);
        expect("a sum", row(kept.executeQuery()), List.of("" + (i + 1)));
        expect("a text", bound(connection, "SELECT ?::text || '!'", "" + i), List.of(i + "!"));
      }
      int names = Integer.parseInt(simple(connection, "SELECT count(*) FROM pg_prepared_statements").getFirst());
      if (names < 2) throw new AssertionError("prepared on the server: expected at least 2, got " + names);
      for (int i = 0; i < 300; ++i) { // more texts than pgjdbc keeps: it closes the oldest
        expect("one of many", bound(connection, "SELECT " + i + " + ?::int", 1), List.of("" + (i + 1)));
      }
      kept.setInt(1, 41);
      expect("the one that was kept", row(kept.executeQuery()), List.of("42"));
    }
  }

  static void preparedThenChanged() throws Exception {
    try (Connection connection = connect(TENANT); Connection other = connect(TENANT)) {
      execute(connection, "DROP TABLE IF EXISTS shape; CREATE TABLE shape (a int); INSERT INTO shape VALUES (1)");
      for (int i = 0; i < 3; ++i) expect("before", bound(other, "SELECT * FROM shape"), List.of("1"));
      execute(connection, "ALTER TABLE shape ADD COLUMN b text DEFAULT 'new'");
      // pgjdbc itself hears 0A000 ("cached plan must not change result type") and prepares again.
      expect("after", bound(other, "SELECT * FROM shape"), List.of("1", "new"));
    }
  }

  static void pipelining() throws Exception {
    try (Connection connection = connect(TENANT)) {
      execute(connection, "DELETE FROM entries WHERE client = 'jdbc batch'");
      try (PreparedStatement insert =
               connection.prepareStatement("INSERT INTO entries (client, number) VALUES (?, ?)")) {
        for (int i = 0; i < 2000; ++i) {
          insert.setString(1, "jdbc batch");
          insert.setInt(2, i);
          insert.addBatch();
        }
        expect("rows inserted", Arrays.stream(insert.executeBatch()).sum(), 2000);
        for (int i = 1999; i < 2010; ++i) {
          insert.setString(1, "jdbc batch");
          insert.setInt(2, i);
          insert.addBatch();
        }
        expectError("a doubled key in a batch", "23505", insert::executeBatch);
      }
      expect("rows", simple(connection, "SELECT count(*) FROM entries WHERE client = 'jdbc batch'"), List.of("2000"));
      execute(connection, "DELETE FROM entries WHERE client = 'jdbc batch'");
    }
  }

  static void cursorInParts() throws Exception {
    try (Connection connection = connect(TENANT)) {
      connection.setAutoCommit(false);
      long total = 0;
      try (PreparedStatement statement = connection.prepareStatement("SELECT i FROM generate_series(1, ?::int) i")) {
        statement.setFetchSize(100);
        statement.setInt(1, 1050);
        try (ResultSet rows = statement.executeQuery()) {
          while (rows.next()) total += rows.getInt(1);
        }
        expect("rows in parts", total, 1050L * 1051 / 2);
        try (ResultSet rows = statement.executeQuery()) {
          rows.next();
          expect("another statement while a portal is open", bound(connection, "SELECT ?::int", 5), List.of("5"));
          for (int i = 1; i < 500; ++i) rows.next();
          expect("the portal goes on", rows.getInt(1), 500);
        } // before its end
      }
      connection.commit();
      expect("after it", simple(connection, "SELECT 1"), List.of("1"));
    }
  }

  static void copyInAndOut() throws Exception {
    int lines = 200_000;
    try (Connection connection = connect(TENANT)) {
      connection.setAutoCommit(false);
      var copies = connection.unwrap(PGConnection.class).getCopyAPI();
      StringBuilder text = new StringBuilder();
      for (int i = 0; i < lines; ++i) text.append("jdbc copy\t").append(i).append('\n');
      InputStream in = new ByteArrayInputStream(text.toString().getBytes(StandardCharsets.UTF_8));
      expect("rows in", copies.copyIn("COPY entries (client, number) FROM STDIN", in), (long) lines);
      StringWriter out = new StringWriter();
      copies.copyOut("COPY (SELECT number FROM entries WHERE client = 'jdbc copy') TO STDOUT", out);
      expect("rows out", out.toString().lines().mapToLong(Long::parseLong).sum(), (long) lines * (lines - 1) / 2);
      connection.rollback();
      byte[] bad = "x\tnot a number\n".getBytes(StandardCharsets.UTF_8);
      expectError("a bad line", "22P02",
          () -> copies.copyIn("COPY entries (client, number) FROM STDIN", new ByteArrayInputStream(bad)));
      connection.rollback();
      expect("after a COPY that failed", simple(connection, "SELECT 1"), List.of("1"));
    }
  }

  static void cancel() throws Exception {
    try (Connection connection = connect(TENANT); Connection other = connect(TENANT);
        ExecutorService thread = Executors.newSingleThreadExecutor()) {
      for (int i = 0; i < 10; ++i) {
        try (Statement sleeper = connection.createStatement()) {
          Future<?> running = thread.submit(() -> {
            expectError("a cancelled query", "57014", () -> sleeper.execute("SELECT pg_sleep(60)"));
            return null;
          });
          while (simple(other,
              "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' "
                  + "AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()")
                  .getFirst()
                  .equals("0")) {
            Thread.onSpinWait();
          }
          sleeper.cancel();
          running.get(30, TimeUnit.SECONDS);
        }
        expect("after a cancel", bound(connection, "SELECT ?::int", i), List.of("" + i));
        expect("who was not cancelled", bound(other, "SELECT ?::int", i), List.of("" + i));
      }
      try (Statement sleeper = connection.createStatement()) {
        sleeper.setQueryTimeout(1);
        expectError("a time-out", "57014", () -> sleeper.execute("SELECT pg_sleep(60)"));
      }
      expect("after a time-out", bound(connection, "SELECT ?::int", 1), List.of("1"));
    }
  }

  static void largeValues() throws Exception {
    byte[] large = new byte[8 << 20];
    new Random(1).nextBytes(large);
    String digest = HexFormat.of().formatHex(MessageDigest.getInstance("MD5").digest(large));
    try (Connection connection = connect(TENANT); PreparedStatement statement = connection.prepareStatement(
                                                      "SELECT v, md5(v) FROM (SELECT ?::bytea AS v) AS values")) {
      for (int i = 0; i < 2; ++i) {
        statement.setBytes(1, large);
        try (ResultSet rows = statement.executeQuery()) {
          expect("a row", rows.next(), true);
          expect("8 MiB back", Arrays.equals(rows.getBytes(1), large), true);
          expect("what the server got", rows.getString(2), digest);
        }
      }
      expect("in a text", bound(connection, "SELECT repeat('é', ?)", 4 << 20).getFirst().length(), 4 << 20);
      connection.unwrap(PGConnection.class).setPrepareThreshold(0);
      expect("in the query's text",
          simple(connection,
              "SELECT '"
                  + "x".repeat(8 << 20) + "'")
              .getFirst()
              .length(),
          8 << 20);
      expect("after them", simple(connection, "SELECT 1"), List.of("1"));
    }
  }

  // What object mappers send to insert many rows: 130 kB of text, and 10,000 parameters.
  static void longStatements() throws Exception {
    String text = "SELECT sum(v) FROM (VALUES (?::bigint)"
        + ", (?::bigint)".repeat(9_999) + ") AS many (v)";
    try (Connection connection = connect(CENTRAL); PreparedStatement statement = connection.prepareStatement(text)) {
      for (int i = 0; i < 10_000; ++i) statement.setLong(i + 1, i);
      for (String tenant : new String[] {null, HOME, HOME}) {
        if (tenant != null) switchTo(connection, tenant);
        expect("a sum", row(statement.executeQuery()), List.of("" + 10_000L * 9_999 / 2));
      }
    }
  }

  static void errorsInTransactions() throws Exception {
    try (Connection connection = connect(TENANT)) {
      connection.setAutoCommit(false);
      for (int i = 0; i < 20; ++i) {
        int number = i;
        bound(connection, "SELECT ?::int", i);
        expectError("a failing statement", "22012", () -> bound(connection, "SELECT 1 / ?::int", 0));
        expectError("a statement after it", "25P02", () -> bound(connection, "SELECT ?::int", number));
        expectError(
            "one that is not prepared yet", "25P02", () -> bound(connection, "SELECT " + number + ", ?::int", number));
        connection.rollback();
        expect("after ROLLBACK", bound(connection, "SELECT ?::int", i), List.of("" + i));
        expect("the late one", bound(connection, "SELECT " + i + ", ?::int", i), List.of("" + i, "" + i));
        connection.commit();
      }
      String insert = "INSERT INTO entries (client, number) VALUES ('jdbc errors', 1)";
      execute(connection, "DELETE FROM entries WHERE client = 'jdbc errors'");
      execute(connection, insert);
      var before = connection.setSavepoint();
      expectError("a doubled key", "23505", () -> execute(connection, insert));
      connection.rollback(before);
      connection.commit();
      expect("what was committed", simple(connection, "SELECT count(*) FROM entries WHERE client = 'jdbc errors'"),
          List.of("1"));
    }
  }

  // Each client has its own, whoever else uses the same server connections meanwhile.
  static void settings() throws Exception {
    everywhere(24, i -> {
      List<String> own = List.of("client " + i, "Etc/GMT+" + (i % 12 + 1), "own_" + i + ", public");
      try (Connection connection = connect(TENANT, "ApplicationName", own.get(0))) {
        execute(connection, "SET TimeZone = '" + own.get(1) + "'");
        bound(connection, "SELECT set_config('search_path', ?, false)", own.get(2));
        for (int n = 0; n < 50; ++n) {
          connection.setAutoCommit(false);
          expect("in a transaction", n % 2 == 0 ? bound(connection, SETTINGS) : simple(connection, SETTINGS), own);
          connection.commit();
          connection.setAutoCommit(true);
          expect("between transactions", bound(connection, SETTINGS), own);
          if (n % 10 == 3)
            execute(connection, "BEGIN; SET TimeZone = 'Europe/Madrid'; SET application_name = 'x'; ROLLBACK");
          if (n % 10 == 6)
            execute(connection, "BEGIN; SET LOCAL TimeZone = 'Europe/Madrid'; SET LOCAL search_path = x; COMMIT");
        }
        expect("as told by ParameterStatus", connection.unwrap(PGConnection.class).getParameterStatus("TimeZone"),
            own.get(1));
      }
    });
  }

  static void refusedSwitches() throws Exception {
    try (Connection connection = connect(TENANT)) {
      expectError("a tenant that is not the lease's", "42501",
          () -> execute(connection, "SET leasehold.tenant = '" + TENANTS[1] + "'"));
      expectPlace("after the refusal", connection, HOME);
      expectError("the same, bound", "42501", () -> switchTo(connection, TENANTS[1]));
      expectPlace("after it", connection, HOME);
      expect("SHOW", simple(connection, "SHOW leasehold.tenant"), List.of(HOME));
    }
    try (Connection connection = connect(CENTRAL)) {
      switchTo(connection, TENANTS[1]);
      expectError("a tenant that there is not", "3D000", () -> switchTo(connection, "nobody"));
      expectError("no tenant's id", "22023", () -> switchTo(connection, "No Id"));
      expectPlace("after the refusals", connection, TENANTS[1]);
      connection.setAutoCommit(false);
      for (boolean binds : new boolean[] {false, true}) {
        expectPlace("in the transaction", connection, TENANTS[1]);
        expectError("a switch in a transaction", "25001", () -> {
          if (binds) {
            switchTo(connection, TENANTS[2]);
          } else {
            execute(connection, "SET leasehold.tenant = '" + TENANTS[2] + "'");
          }
        });
        expectError("the transaction has failed", "25P02", () -> simple(connection, "SELECT 1"));
        connection.rollback();
        expectPlace("after the transaction", connection, TENANTS[1]);
        connection.commit();
      }
    }
  }

  static void settingsAfterASwitch() throws Exception {
    try (Connection connection = connect(CENTRAL)) {
      connection.setClientInfo("ApplicationName", "wanderer");
      execute(connection, "SET TimeZone = 'Etc/GMT+5'");
      connection.setSchema("own");
      for (int i = 0; i < 9; ++i) {
        switchTo(connection, TENANTS[i % TENANTS.length]);
        expect(
            "at " + TENANTS[i % TENANTS.length], bound(connection, SETTINGS), List.of("wanderer", "Etc/GMT+5", "own"));
        expect(
            "and it is", simple(connection, "SELECT tenant FROM public.place"), List.of(TENANTS[i % TENANTS.length]));
      }
    }
  }

  static void preparedAfterASwitch() throws Exception {
    try (Connection connection = connect(CENTRAL); PreparedStatement where = connection.prepareStatement(WHERE);
        PreparedStatement twice = connection.prepareStatement("SELECT ?::int * 2");
        PreparedStatement move = connection.prepareStatement("SELECT set_config('leasehold.tenant', ?, false)")) {
      for (int i = 0; i < 15; ++i) {
        String tenant = TENANTS[i % TENANTS.length];
        move.setString(1, tenant);
        expect("the switch's answer", row(move.executeQuery()), List.of(tenant));
        connection.setAutoCommit(false); // in a transaction pgjdbc cannot prepare again and retry
        for (int n = 0; n < 3; ++n) {
          expect("by a prepared statement", row(where.executeQuery()), placeOf(tenant));
          twice.setInt(1, i + n);
          expect("by another", row(twice.executeQuery()), List.of("" + (i + n) * 2));
        }
        connection.commit();
        connection.setAutoCommit(true);
      }
      switchTo(connection, HOME);
      othersAtWork();
      connection.setAutoCommit(false);
      expect("after others' work", row(where.executeQuery()), placeOf(HOME));
      twice.setInt(1, 21);
      expect("by another after it", row(twice.executeQuery()), List.of("42"));
      connection.commit();
    }
  }

  static void switchingUnderConcurrency() throws Exception {
    everywhere(8, i -> {
      Random moves = new Random(i);
      try (Connection connection = connect(CENTRAL)) {
        for (int n = 0; n < 200; ++n) {
          String tenant = TENANTS[moves.nextInt(TENANTS.length)];
          switch (moves.nextInt(3)) {
            case 0 -> execute(connection, "SET leasehold.tenant = '" + tenant + "'");
            case 1 -> switchTo(connection, tenant);
            default -> {
              execute(connection, "RESET leasehold.tenant");
              tenant = null;
            }
          }
          String what = "client " + i + ", move " + n;
          expect(what, moves.nextBoolean() ? simple(connection, WHERE) : bound(connection, WHERE), placeOf(tenant));
        }
      }
    });
  }

  static void moreClientsThanServers() throws Exception {
    CyclicBarrier allHere = new CyclicBarrier(60);
    everywhere(60, i -> {
      Random moves = new Random(i);
      try (Connection connection = connect(i % 4 == 0 ? TENANT : CENTRAL)) {
        allHere.await(90, TimeUnit.SECONDS); // all are connected at the same time
        for (int n = 0; n < 10; ++n) {
          String tenant = HOME;
          if (i % 4 != 0) {
            tenant = TENANTS[moves.nextInt(TENANTS.length)];
            switchTo(connection, tenant);
          }
          connection.setAutoCommit(false);
          expectPlace("client " + i, connection, tenant);
          try (PreparedStatement insert =
                   connection.prepareStatement("INSERT INTO entries (client, number) VALUES (?, ?)")) {
            insert.setString(1, "jdbc " + i);
            insert.setInt(2, n);
            expect("rows inserted", insert.executeUpdate(), 1);
          }
          expectPlace("client " + i + " at its end", connection, tenant);
          connection.commit();
          connection.setAutoCommit(true);
        }
      }
    });
  }

  public static void main(String[] words) {
    Map<String, Work> cases = new LinkedHashMap<>();
    cases.put("simple query", WithJdbc::simpleQuery);
    cases.put("bound parameters", WithJdbc::boundParameters);
    cases.put("prepared statements", WithJdbc::preparedStatements);
    cases.put("prepared then changed", WithJdbc::preparedThenChanged);
    cases.put("pipelining", WithJdbc::pipelining);
    cases.put("cursor in parts", WithJdbc::cursorInParts);
    cases.put("copy in and out", WithJdbc::copyInAndOut);
    cases.put("cancel", WithJdbc::cancel);
    cases.put("large values", WithJdbc::largeValues);
    cases.put("long statements", WithJdbc::longStatements);
    cases.put("errors in transactions", WithJdbc::errorsInTransactions);
    cases.put("settings", WithJdbc::settings);
    cases.put("refused switches", WithJdbc::refusedSwitches);
    cases.put("settings after a switch", WithJdbc::settingsAfterASwitch);
    cases.put("prepared after a switch", WithJdbc::preparedAfterASwitch);
    cases.put("switching under concurrency", WithJdbc::switchingUnderConcurrency);
    cases.put("more clients than servers", WithJdbc::moreClientsThanServers);
    System.out.println("pgjdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION + " on Java " + Runtime.version());
    for (Map.Entry<String, Work> one : cases.entrySet()) {
      String name = one.getKey();
      if (words.length > 0 && Arrays.stream(words).noneMatch(name::contains)) continue;
      long begun = System.nanoTime();
      try {
        one.getValue().run();
      } catch (Throwable thrown) { // whatever it is, the first failure is the last line
        Throwable error = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
        String state = error instanceof SQLException sql ? " " + sql.getSQLState() : "";
        System.out.println(
            "FAILED  " + name + ": " + error.getClass().getSimpleName() + state + ": " + error.getMessage());
        System.exit(1);
      }
      System.out.printf("ok  %s  %.2f s%n", name, (System.nanoTime() - begun) / 1e9);
    }
    System.exit(0);
  }
}
