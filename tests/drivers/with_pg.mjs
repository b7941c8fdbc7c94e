// The SQL endpoint as node-postgres (npm pg) meets it. Run by run.py; arguments pick cases by a word of their names.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import {Readable} from 'node:stream';
import {pipeline as streams} from 'node:stream/promises';
import pg from 'pg';
import {from as copyFrom, to as copyTo} from 'pg-copy-streams';
import Cursor from 'pg-cursor';

const CENTRAL = process.env.CENTRAL_DSN;  // may switch to every tenant
const TENANT = process.env.TENANT_DSN;    // of the first tenant, and may switch to none
const TENANTS = process.env.TENANTS.split(',');
const HOME = TENANTS[0];
const WHERE = 'SELECT current_database(), tenant FROM place';

async function connected(work, connectionString = CENTRAL, more = {}) {
  const client = new pg.Client({connectionString, connectionTimeoutMillis: 60_000, ...more});
  client.on('error', () => {});  // the query at hand is told too
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function rejects(what, code, promise) {
  const got = await Promise.resolve(promise).then(() => 'no error', (error) => error.code ?? String(error));
  assert.equal(got, code, what);
}

// Under a name the statement is prepared on the server when it is first used, and only bound later.
const named = (name, text, values = []) => ({name, text, values});

async function value(client, query, values) {
  const {rows} = await client.query(query, values);
  return Object.values(rows[0])[0];
}

async function expectPlace(what, client, tenant, prepared = false) {
  const {rows} = await client.query(prepared ? named('where', WHERE) : WHERE);
  const place = tenant ? {current_database: `tenant_${tenant}_alpha`, tenant} :
                         {current_database: 'alpha_central', tenant: 'central'};
  assert.deepEqual(rows, [place], what);
}

const switchTo = (client, tenant) => client.query("SELECT set_config('leasehold.tenant', $1, false)", [tenant]);
const everywhere = (work, count) => Promise.all(Array.from({length: count}, (_, i) => work(i)));

// A generator with a seed (mulberry32), which Math.random has not.
function random(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

// Other clients' transactions, enough that every server connection has served somebody else meanwhile.
const othersAtWork = (count = 12) => everywhere(
    (i) => connected(async (other) => {
      await switchTo(other, TENANTS[i % TENANTS.length]);
      await other.query(`SET TimeZone = 'UTC+${i % 12}'`);
      await other.query('SELECT pg_sleep(0.02)');
    }),
    count);

async function simpleQuery() {
  await connected(async (client) => {
    await expectPlace('where the lease begins', client, HOME);
    const results = await client.query('SELECT 1 AS n; SELECT 2 AS n; SELECT 3 AS n');
    assert.deepEqual(results.map((r) => r.rows[0].n), [1, 2, 3], 'statements in one string');
    assert.equal((await client.query('SELECT generate_series(1, 50000)')).rows.length, 50_000, 'many rows');
  }, TENANT);
}

async function boundParameters() {
  await connected(async (client) => {
    for (const binary of [false, true]) {
      const text = 'SELECT $1::int AS a, $2::text AS b, $3::bool AS c, $4::text AS d';
      const {rows} = await client.query({text, values: [7, 'é', true, null], binary});
      assert.deepEqual(rows, [{a: 7, b: 'é', c: true, d: null}], `binary: ${binary}`);
    }
    const {rows} = await client.query(
        'SELECT $1::bytea AS a, $2::float8 AS b, $3::int[] AS c', [Buffer.from([0, 255]), 0.5, [1, 2]]);
    assert.deepEqual(rows, [{a: Buffer.from([0, 255]), b: 0.5, c: [1, 2]}]);
  }, TENANT);
}

async function preparedStatements() {
  await connected(async (client) => {
    for (let i = 0; i < 100; ++i) {
      assert.equal(await value(client, named('sum', 'SELECT $1::int + 1 AS n', [i])), i + 1);
      assert.equal(await value(client, named('text', "SELECT $1::text || '!' AS t", [String(i)])), `${i}!`);
    }
    assert.ok(
        Number(await value(client, 'SELECT count(*) FROM pg_prepared_statements')) >= 2, 'prepared on the server');
    for (let i = 0; i < 300; ++i) {
      assert.equal(await value(client, named(`one of many ${i}`, `SELECT ${i} + $1::int`, [1])), i + 1);
    }
    assert.equal(await value(client, named('sum', 'SELECT $1::int + 1 AS n', [41])), 42, 'the first one still');
    await rejects(
        'a named statement that is wrong', '42703', client.query(named('wrong', 'SELECT nothing_of_that_name')));
    assert.equal(await value(client, 'SELECT 1'), 1, 'after it');
  }, TENANT);
}

async function preparedThenChanged() {
  await connected(
      (client) => connected(async (other) => {
        await client.query('DROP TABLE IF EXISTS shape; CREATE TABLE shape (a int); INSERT INTO shape VALUES (1)');
        for (let i = 0; i < 3; ++i)
          assert.deepEqual((await other.query(named('shape', 'SELECT * FROM shape'))).rows, [{a: 1}]);
        await client.query("ALTER TABLE shape ADD COLUMN b text DEFAULT 'new'");
        // PostgreSQL says 0A000 to this from now on and for ever. The gateway does not, since pg asks for the columns each time.
        assert.deepEqual((await other.query(named('shape', 'SELECT * FROM shape'))).rows, [{a: 1, b: 'new'}], 'after');
      }, TENANT), TENANT);
}

async function pipelining() {
  await connected(async (client) => {
    const answers = await everywhere(
        (i) => client.query(i % 3 ? named('echo', 'SELECT $1::int AS n', [i]) : `SELECT ${i} AS n`), 500);
    answers.forEach((answer, i) => assert.equal(answer.rows[0].n, i, 'an answer in its order'));
    const places = [];
    for (const tenant of TENANTS) {
      switchTo(client, tenant);
      places.push(client.query(WHERE), client.query(named('where', WHERE)));
    }
    for (const [i, {rows}] of (await Promise.all(places)).entries()) {
      assert.equal(rows[0].current_database, `tenant_${TENANTS[i >> 1]}_alpha`, 'behind a switch in the same pipeline');
    }
    const fails = client.query('SELECT 1 / $1::int', [0]);
    const goesOn = client.query('SELECT $1::int AS n', [2]);
    await rejects('a failure in a pipeline', '22012', fails);
    assert.equal((await goesOn).rows[0].n, 2, 'behind the failure');
  }, CENTRAL, {pipeline: true});
}

async function cursorInParts() {
  await connected(async (client) => {
    await client.query('BEGIN');
    const cursor = client.query(new Cursor('SELECT i FROM generate_series(1, $1::int) i', [1050]));
    let total = 0;
    for (let rows = await cursor.read(100); rows.length > 0; rows = await cursor.read(100))
      total += rows.reduce((sum, row) => sum + row.i, 0);
    await cursor.close();
    await client.query('COMMIT');
    assert.equal(total, (1050 * 1051) / 2, 'rows in parts');
    assert.equal(await value(client, 'SELECT 1'), 1, 'after it');
  }, TENANT);
}

async function copyInAndOut() {
  const lines = 200_000;
  await connected(async (client) => {
    await client.query('BEGIN');
    await streams(
        Readable.from((function*() {
          for (let i = 0; i < lines; ++i) yield `pg copy\t${i}\n`;
        })()),
        client.query(copyFrom('COPY entries (client, number) FROM STDIN')));
    assert.equal(await value(client, "SELECT count(*)::int FROM entries WHERE client = 'pg copy'"), lines, 'rows in');
    let text = '';
    for await (
        const piece of client.query(copyTo("COPY (SELECT number FROM entries WHERE client = 'pg copy') TO STDOUT")))
      text += piece;
    assert.equal(text.trim().split('\n').reduce((sum, n) => sum + Number(n), 0), (lines * (lines - 1)) / 2, 'rows out');
    await client.query('ROLLBACK');
    await rejects(
        'a bad line', '22P02',
        streams(
            Readable.from(['x\tnot a number\n']), client.query(copyFrom('COPY entries (client, number) FROM STDIN'))));
    assert.equal(await value(client, 'SELECT 1'), 1, 'after a COPY that failed');
  }, TENANT);
}

async function cancel() {
  const running =
      "SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()";
  await connected((client) => connected(async (other) => {
                    for (let i = 0; i < 10; ++i) {
                      const query = new pg.Query('SELECT pg_sleep(60)');
                      const ended = new Promise((resolve, reject) => {
                        query.callback = (error) => (error ? reject(error) : resolve());
                      });
                      ended.catch(() => {});  // it is waited for below
                      client.query(query);
                      while (await value(other, running) === 0);
                      new pg.Client(TENANT).cancel(
                          {activeQuery: query, processID: client.processID, secretKey: client.secretKey}, query);
                      await rejects('a cancelled query', '57014', ended);
                      assert.equal(await value(client, 'SELECT $1::int', [i]), i, 'after a cancel');
                      assert.equal(await value(other, 'SELECT $1::int', [i]), i, 'who was not cancelled');
                    }
                  }, TENANT), TENANT);
}

async function largeValues() {
  const bytes = Buffer.alloc(8 << 20, crypto.createHash('sha512').update('seed').digest());
  const digest = crypto.createHash('md5').update(bytes).digest('hex');
  await connected(async (client) => {
    for (const query of [{}, {name: 'large'}]) {
      const {rows} =
          await client.query({text: 'SELECT $1::bytea AS back, md5($1::bytea) AS digest', values: [bytes], ...query});
      assert.ok(rows[0].back.equals(bytes), '8 MiB back');
      assert.equal(rows[0].digest, digest, 'what the server got');
    }
    assert.equal(Buffer.byteLength(await value(client, "SELECT repeat('é', $1)", [4 << 20])), 8 << 20, 'in a text');
    assert.equal((await value(client, `SELECT '${'x'.repeat(8 << 20)}'`)).length, 8 << 20, "in the query's text");
    assert.equal(await value(client, 'SELECT 1'), 1, 'after them');
  }, TENANT);
}

// What object mappers send to insert many rows: 180 kB of text, and 10,000 parameters.
async function longStatements() {
  const numbers = Array.from({length: 10_000}, (_, i) => i);
  const text =
      `SELECT sum(v)::int AS sum FROM (VALUES ${numbers.map((i) => `($${i + 1}::bigint)`).join(', ')}) AS many (v)`;
  await connected(async (client) => {
    for (const tenant of [null, HOME, HOME]) {
      if (tenant) await switchTo(client, tenant);
      assert.equal(await value(client, named('long', text, numbers)), (10_000 * 9_999) / 2, 'a sum');
    }
  });
}

async function errorsInTransactions() {
  await connected(async (client) => {
    for (let i = 0; i < 20; ++i) {
      await client.query('BEGIN');
      assert.equal(await value(client, named('echo', 'SELECT $1::int', [i])), i);
      await rejects('a failing statement', '22012', client.query(named('divide', 'SELECT 1 / $1::int', [0])));
      await rejects('a statement after it', '25P02', client.query(named('echo', 'SELECT $1::int', [i])));
      await rejects(
          'a statement that is not prepared yet', '25P02', client.query(named(`late ${i}`, 'SELECT $1::int', [i])));
      await client.query('ROLLBACK');
      assert.equal(await value(client, named('echo', 'SELECT $1::int', [i])), i, 'after ROLLBACK');
      assert.equal(await value(client, named(`late ${i}`, 'SELECT $1::int', [i])), i, 'the late one');
    }
    const insert = "INSERT INTO entries (client, number) VALUES ('pg errors', 1)";
    await client.query("BEGIN; DELETE FROM entries WHERE client = 'pg errors'");
    await client.query(insert);
    await client.query('SAVEPOINT before');
    await rejects('a doubled key', '23505', client.query(insert));
    await client.query('ROLLBACK TO before');
    await client.query('COMMIT');
    assert.equal(
        await value(client, "SELECT count(*)::int FROM entries WHERE client = 'pg errors'"), 1, 'what was committed');
  }, TENANT);
}

const SETTINGS =
    "SELECT current_setting('application_name') AS name, current_setting('TimeZone') AS zone, current_setting('search_path') AS path";

// Each client has its own, whoever else uses the same server connections meanwhile.
async function settings() {
  await everywhere((i) => connected(async (client) => {
                     const own = {name: `client ${i}`, zone: `Etc/GMT+${(i % 12) + 1}`, path: `own_${i}, public`};
                     const expectOwn = async (what, prepared) => assert.deepEqual(
                         (await client.query(prepared ? named('settings', SETTINGS) : SETTINGS)).rows, [own], what);
                     await client.query(`SET TimeZone = '${own.zone}'`);
                     await client.query("SELECT set_config('search_path', $1, false)", [own.path]);
                     for (let n = 0; n < 50; ++n) {
                       await client.query('BEGIN');
                       await expectOwn('in a transaction', n % 2 === 0);
                       await client.query('COMMIT');
                       await expectOwn('between transactions', true);
                       if (n % 10 === 3)
                         await client.query(
                             "BEGIN; SET TimeZone = 'Europe/Madrid'; SET application_name = 'not for long'; ROLLBACK");
                       if (n % 10 === 6)
                         await client.query(
                             "BEGIN; SET LOCAL TimeZone = 'Europe/Madrid'; SET LOCAL search_path = pg_catalog; COMMIT");
                     }
                   }, TENANT, {application_name: `client ${i}`}), 24);
}

async function refusedSwitches() {
  await connected(async (client) => {
    await rejects("a tenant that is not the lease's", '42501', client.query(`SET leasehold.tenant = '${TENANTS[1]}'`));
    await expectPlace('after the refusal', client, HOME);
    await rejects('the same, bound', '42501', switchTo(client, TENANTS[1]));
    await expectPlace('after it', client, HOME);
    assert.equal(await value(client, 'SHOW leasehold.tenant'), HOME, 'SHOW');
  }, TENANT);
  await connected(async (client) => {
    await switchTo(client, TENANTS[1]);
    await rejects('a tenant that there is not', '3D000', switchTo(client, 'nobody'));
    await rejects("no tenant's id", '22023', switchTo(client, 'No Id'));
    await expectPlace('after the refusals', client, TENANTS[1]);
    for (const attempt
             of [() => switchTo(client, TENANTS[2]), () => client.query(`SET leasehold.tenant = '${TENANTS[2]}'`)]) {
      await client.query('BEGIN');
      await expectPlace('in the transaction', client, TENANTS[1]);
      await rejects('a switch in a transaction', '25001', attempt());
      await rejects('the transaction has failed', '25P02', client.query('SELECT 1'));
      await client.query('ROLLBACK');
      await expectPlace('after the transaction', client, TENANTS[1]);
    }
  });
}

async function settingsAfterASwitch() {
  await connected(async (client) => {
    await client.query("SET application_name = 'wanderer'");
    await client.query("SET TimeZone = 'Etc/GMT+5'");
    await client.query('SET search_path = own, public');
    for (const tenant of [...TENANTS, ...TENANTS, ...TENANTS]) {
      await switchTo(client, tenant);
      assert.deepEqual(
          (await client.query(SETTINGS)).rows, [{name: 'wanderer', zone: 'Etc/GMT+5', path: 'own, public'}],
          `at ${tenant}`);
      await expectPlace('and it is', client, tenant);
    }
  });
}

async function preparedAfterASwitch() {
  await connected(async (client) => {
    const twice = (n) => value(client, named('twice', 'SELECT $1::int * 2', [n]));
    for (let i = 0; i < 15; ++i) {
      const tenant = TENANTS[i % TENANTS.length];
      await client.query(named('switch', "SELECT set_config('leasehold.tenant', $1, false)", [tenant]));
      for (let n = 0; n < 3; ++n) {
        await expectPlace('by a prepared statement', client, tenant, true);
        assert.equal(await twice(i + n), (i + n) * 2, 'by another');
      }
    }
    await switchTo(client, HOME);
    await othersAtWork();
    await expectPlace("after others' work", client, HOME, true);
    assert.equal(await twice(21), 42, 'by another after it');
  });
}

async function switchingUnderConcurrency() {
  await everywhere(
      (i) => connected(async (client) => {
        const draw = random(i);
        for (let n = 0; n < 200; ++n) {
          let tenant = TENANTS[draw(TENANTS.length)];
          const how = draw(3);
          if (how === 0) await client.query(`SET leasehold.tenant = '${tenant}'`);
          if (how === 1) await switchTo(client, tenant);
          if (how === 2) {
            await client.query('RESET leasehold.tenant');
            tenant = null;
          }
          await expectPlace(`client ${i}, move ${n}`, client, tenant, draw(2) === 0);
        }
      }),
      8);
}

async function moreClientsThanServers() {
  const clients = 60;
  let here = 0;
  let open;
  const allHere = new Promise((resolve) => {
    open = resolve;
  });
  await everywhere(
      (i) => connected(async (client) => {
        if (++here === clients) open();
        await allHere;  // all are connected at the same time
        const draw = random(i);
        for (let n = 0; n < 10; ++n) {
          let tenant = HOME;
          if (i % 4 !== 0) {
            tenant = TENANTS[draw(TENANTS.length)];
            await switchTo(client, tenant);
          }
          await client.query('BEGIN');
          await expectPlace(`client ${i}`, client, tenant, true);
          await client.query(named('insert', 'INSERT INTO entries (client, number) VALUES ($1, $2)', [`pg ${i}`, n]));
          await expectPlace(`client ${i} at its end`, client, tenant);
          await client.query('COMMIT');
        }
      }, i % 4 === 0 ? TENANT : CENTRAL), clients);
}

const CASES = [
  simpleQuery, boundParameters, preparedStatements, preparedThenChanged, pipelining, cursorInParts, copyInAndOut,
  cancel, largeValues, longStatements, errorsInTransactions, settings, refusedSwitches, settingsAfterASwitch,
  preparedAfterASwitch, switchingUnderConcurrency, moreClientsThanServers
];

console.log(`pg ${(await import('./node_modules/pg/package.json', {with: {type: 'json'}})).default.version} on Node ${
    process.version}`);
const words = process.argv.slice(2);
for (const test of CASES) {
  const name = test.name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  if (words.length > 0 && !words.some((word) => name.includes(word))) continue;
  const begun = performance.now();
  try {
    await test();
  } catch (error) {  // the first failure is the last line
    const detail = error instanceof assert.AssertionError ?
        ` (expected ${JSON.stringify(error.expected)}, got ${JSON.stringify(error.actual)})` :
        '';
    console.log(`FAILED  ${name}: ${error.message.split('\n')[0]}${detail}`);
    process.exit(1);
  }
  console.log(`ok  ${name}  ${((performance.now() - begun) / 1000).toFixed(2)} s`);
}
