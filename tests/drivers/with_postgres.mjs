// The SQL endpoint as postgres.js (npm postgres) meets it. Run by run.py; arguments pick cases by a word of their
// names.
//
// postgres.js prepares every statement under a name and sends what is asked in one go without waiting for answers.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import {Readable} from 'node:stream';
import {pipeline as streams} from 'node:stream/promises';
import postgres from 'postgres';

const CENTRAL = process.env.CENTRAL_DSN;  // may switch to every tenant
const TENANT = process.env.TENANT_DSN;    // of the first tenant, and may switch to none
const TENANTS = process.env.TENANTS.split(',');
const HOME = TENANTS[0];

// One connection, and so one session.
async function connected(work, dsn = CENTRAL, connection = {}) {
  const sql = postgres(dsn, {max: 1, connect_timeout: 60, onnotice: () => {}, connection});
  try {
    return await work(sql);
  } finally {
    await sql.end({timeout: 10});
  }
}

async function rejects(what, code, promise) {
  const got = await Promise.resolve(promise).then(() => 'no error', (error) => error.code ?? String(error));
  assert.equal(got, code, what);
}

const placeOf = (tenant) =>
    (tenant ? {database: `tenant_${tenant}_alpha`, tenant} : {database: 'alpha_central', tenant: 'central'});
const where = (sql) => sql`SELECT current_database() AS database, tenant FROM place`;

async function expectPlace(what, sql, tenant) { assert.deepEqual([...await where(sql)], [placeOf(tenant)], what); }

const switchTo = (sql, tenant) => sql`SELECT set_config('leasehold.tenant', ${tenant}, false)`;
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
      await other.unsafe(`SET TimeZone = 'UTC+${i % 12}'`);
      await other`SELECT pg_sleep(0.02)`;
    }),
    count);

async function simpleQuery() {
  await connected(async (sql) => {
    await expectPlace('where the lease begins', sql, HOME);
    const results = await sql`SELECT 1 AS n; SELECT 2 AS n; SELECT 3 AS n`.simple();
    assert.deepEqual(results.map((rows) => rows[0].n), [1, 2, 3], 'statements in one string');
    assert.equal((await sql`SELECT generate_series(1, 50000)`.simple()).length, 50_000, 'many rows');
  }, TENANT);
}

async function boundParameters() {
  await connected(async (sql) => {
    const [row] =
        await sql`SELECT ${7}::int AS a, ${'é'}::text AS b, ${0.5}::float8 AS c, ${true}::bool AS d, ${null}::text AS e,
                                   ${Buffer.from([0, 255])}::bytea AS f, ${[1, 2]}::int[] AS g`;
    assert.deepEqual(row, {a: 7, b: 'é', c: 0.5, d: true, e: null, f: Buffer.from([0, 255]), g: [1, 2]});
    const rows = await sql`SELECT * FROM (VALUES ${sql([[1, 'a'], [2, 'b']])}) AS v (n, t) ORDER BY n::int`;
    assert.deepEqual(rows.map((r) => r.t), ['a', 'b'], 'built from parts');
  }, TENANT);
}

async function preparedStatements() {
  await connected(async (sql) => {
    for (let i = 0; i < 100; ++i) {
      assert.equal((await sql`SELECT ${i}::int + 1 AS n`)[0].n, i + 1);
      assert.equal((await sql`SELECT ${String(i)}::text || '!' AS t`)[0].t, `${i}!`);
    }
    const [{count}] = await sql`SELECT count(*)::int FROM pg_prepared_statements`;
    assert.ok(count >= 2, `prepared on the server: expected at least 2, got ${count}`);
    for (let i = 0; i < 300; ++i)
      assert.equal((await sql.unsafe(`SELECT ${i} + $1::int AS n`, [1], {prepare: true}))[0].n, i + 1);
    assert.equal((await sql`SELECT ${41}::int + 1 AS n`)[0].n, 42, 'the first one still');
    await rejects('a statement that is wrong', '42703', sql`SELECT nothing_of_that_name`);
    assert.equal((await sql`SELECT ${41}::int + 1 AS n`)[0].n, 42, 'after it');
  }, TENANT);
}

async function preparedThenChanged() {
  await connected(
      (sql) => connected(async (other) => {
        await sql`DROP TABLE IF EXISTS shape; CREATE TABLE shape (a int); INSERT INTO shape VALUES (1)`.simple();
        const shape = () => other`SELECT * FROM shape`;
        for (let i = 0; i < 3; ++i) assert.deepEqual([...await shape()], [{a: 1}]);
        await sql`ALTER TABLE shape ADD COLUMN b text DEFAULT 'new'`.simple();
        // postgres.js itself hears 0A000 ("cached plan must not change result type") and prepares again.
        assert.deepEqual([...await shape()], [{a: 1, b: 'new'}], 'after');
      }, TENANT), TENANT);
}

async function pipelining() {
  await connected(async (sql) => {
    const answers = await everywhere((i) => (i % 3 ? sql`SELECT ${i}::int AS n` : sql.unsafe(`SELECT ${i} AS n`)), 500);
    answers.forEach((rows, i) => assert.equal(rows[0].n, i, 'an answer in its order'));
    const places = [];
    for (const tenant of TENANTS) places.push(switchTo(sql, tenant), where(sql), where(sql));
    for (const [i, rows] of (await Promise.all(places)).entries()) {
      if (i % 3 !== 0)
        assert.deepEqual(rows[0], placeOf(TENANTS[Math.floor(i / 3)]), 'behind a switch in the same pipeline');
    }
    const fails = rejects('a failure in a pipeline', '22012', sql`SELECT 1 / ${0}::int`);
    const goesOn = sql`SELECT ${2}::int AS n`;
    assert.equal((await goesOn)[0].n, 2, 'behind the failure');
    await fails;
  });
}

async function cursorInParts() {
  await connected(async (sql) => {
    let total = 0;
    for await (const rows of sql`SELECT i FROM generate_series(1, ${1050}::int) i`.cursor(100)) {
      total += rows.reduce((sum, row) => sum + row.i, 0);
    }
    assert.equal(total, (1050 * 1051) / 2, 'rows in parts');
    let first;
    for await (const rows of sql`SELECT generate_series(1, 1000) AS i`.cursor(10)) {
      first = rows.length;
      break;  // the portal is closed before its end
    }
    assert.equal(first, 10);
    assert.equal((await sql`SELECT 1 AS n`)[0].n, 1, 'after a cursor that was left open');
  }, TENANT);
}

async function textOf(copy) {
  let text = '';
  for await (const piece of await copy.readable()) text += piece;
  return text.trim().split('\n');
}

async function copyInAndOut() {
  const lines = 200_000;
  await connected(async (sql) => {
    const lots = Readable.from((function*() {
      for (let i = 0; i < lines; ++i) yield `postgres copy\t${i}\n`;
    })());
    await streams(lots, await sql`COPY entries (client, number) FROM STDIN`.writable());
    assert.equal(
        (await sql`SELECT count(*)::int AS n FROM entries WHERE client = 'postgres copy'`)[0].n, lines, 'rows in');
    const few =
        await textOf(sql`COPY (SELECT number FROM entries WHERE client = 'postgres copy' AND number < 100) TO STDOUT`);
    assert.equal(few.length, 100, 'a few rows out');
    // postgres.js may leave its socket paused after more than its buffer holds (porsager/postgres#1016): not used
    // again.
    const reader = postgres(TENANT, {max: 1});
    const numbers = await textOf(reader`COPY (SELECT number FROM entries WHERE client = 'postgres copy') TO STDOUT`);
    reader.end({timeout: 0});
    assert.equal(numbers.reduce((sum, n) => sum + Number(n), 0), (lines * (lines - 1)) / 2, 'rows out');
    await sql`DELETE FROM entries WHERE client = 'postgres copy'`;
    assert.equal((await sql`SELECT 1 AS n`)[0].n, 1, 'after it');
  }, TENANT);
}

async function cancel() {
  await connected(
      (sql) => connected(async (other) => {
        for (let i = 0; i < 10; ++i) {
          const sleeper = sql`SELECT pg_sleep(60)`.execute();
          sleeper.catch(() => {});  // it is waited for below
          const running = () =>
              other`SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND wait_event = 'PgSleep'
                                  AND pid <> pg_backend_pid()`;
          while ((await running()).length === 0);
          await sleeper.cancel();
          await rejects('a cancelled query', '57014', sleeper);
          assert.equal((await sql`SELECT ${i}::int AS n`)[0].n, i, 'after a cancel');
          assert.equal((await other`SELECT ${i}::int AS n`)[0].n, i, 'who was not cancelled');
        }
      }, TENANT), TENANT);
}

async function largeValues() {
  const bytes = Buffer.alloc(8 << 20, crypto.createHash('sha512').update('seed').digest());
  const digest = crypto.createHash('md5').update(bytes).digest('hex');
  await connected(async (sql) => {
    for (let i = 0; i < 2; ++i) {
      const [row] = await sql`SELECT ${bytes}::bytea AS back, md5(${bytes}::bytea) AS digest`;
      assert.ok(row.back.equals(bytes), '8 MiB back');
      assert.equal(row.digest, digest, 'what the server got');
    }
    assert.equal(Buffer.byteLength((await sql`SELECT repeat('é', ${4 << 20}) AS t`)[0].t), 8 << 20, 'in a text');
    assert.equal(
        (await sql.unsafe(`SELECT '${'x'.repeat(8 << 20)}' AS t`))[0].t.length, 8 << 20, "in the query's text");
    assert.equal((await sql`SELECT 1 AS n`)[0].n, 1, 'after them');
  }, TENANT);
}

// What object mappers send to insert many rows: 180 kB of text, and 10,000 parameters.
async function longStatements() {
  const numbers = Array.from({length: 10_000}, (_, i) => i);
  const text =
      `SELECT sum(v)::int AS sum FROM (VALUES ${numbers.map((i) => `($${i + 1}::bigint)`).join(', ')}) AS many (v)`;
  await connected(async (sql) => {
    for (const tenant of [null, HOME, HOME]) {
      if (tenant) await switchTo(sql, tenant);
      assert.equal((await sql.unsafe(text, numbers, {prepare: true}))[0].sum, (10_000 * 9_999) / 2, 'a sum');
    }
  });
}

async function errorsInTransactions() {
  await connected(async (sql) => {
    for (let i = 0; i < 20; ++i) {
      await rejects('a transaction that failed', '22012', sql.begin(async (transaction) => {
        await transaction`SELECT ${i}::int`;
        await rejects('a failing statement', '22012', transaction`SELECT 1 / ${0}::int`);
        await rejects('a statement after it', '25P02', transaction`SELECT ${i}::int`);
        await rejects(
            'one that is not prepared yet', '25P02',
            transaction.unsafe(`SELECT ${i}, $1::int AS late`, [i], {prepare: true}));
      }));
      assert.equal((await sql`SELECT ${i}::int AS n`)[0].n, i, 'after ROLLBACK');
      assert.equal((await sql.unsafe(`SELECT ${i}, $1::int AS late`, [i], {prepare: true}))[0].late, i, 'the late one');
    }
    await sql.begin(async (transaction) => {
      const insert = (t) => t`INSERT INTO entries (client, number) VALUES ('postgres errors', 1)`;
      await transaction`DELETE FROM entries WHERE client = 'postgres errors'`;
      await insert(transaction);
      await rejects('a doubled key', '23505', transaction.savepoint(insert));
    });
    assert.equal((await sql`SELECT FROM entries WHERE client = 'postgres errors'`).length, 1, 'what was committed');
  }, TENANT);
}

const settingsOf = async (sql) =>
    (await sql`SELECT current_setting('application_name') AS name, current_setting('TimeZone') AS zone,
                                                    current_setting('search_path') AS path`)[0];

// Each client has its own, whoever else uses the same server connections meanwhile.
async function settings() {
  await everywhere((i) => {
    const own = {name: `client ${i}`, zone: `Etc/GMT+${(i % 12) + 1}`, path: `own_${i}, public`};
    return connected(async (sql) => {
      await sql.unsafe(`SET TimeZone = '${own.zone}'`);
      await sql`SELECT set_config('search_path', ${own.path}, false)`;
      for (let n = 0; n < 50; ++n) {
        await sql.begin(
            async (transaction) => assert.deepEqual(await settingsOf(transaction), own, 'in a transaction'));
        assert.deepEqual(await settingsOf(sql), own, 'between transactions');
        if (n % 10 === 3)
          await sql`BEGIN; SET TimeZone = 'Europe/Madrid'; SET application_name = 'not for long'; ROLLBACK`.simple();
        if (n % 10 === 6)
          await sql`BEGIN; SET LOCAL TimeZone = 'Europe/Madrid'; SET LOCAL search_path = pg_catalog; COMMIT`.simple();
      }
      assert.equal(sql.parameters.TimeZone, own.zone, 'as told by ParameterStatus');
    }, TENANT, {application_name: own.name});
  }, 24);
}

async function refusedSwitches() {
  await connected(async (sql) => {
    await rejects("a tenant that is not the lease's", '42501', sql.unsafe(`SET leasehold.tenant = '${TENANTS[1]}'`));
    await expectPlace('after the refusal', sql, HOME);
    await rejects('the same, bound', '42501', switchTo(sql, TENANTS[1]));
    await expectPlace('after it', sql, HOME);
    assert.equal((await sql`SHOW leasehold.tenant`)[0]['leasehold.tenant'], HOME, 'SHOW');
  }, TENANT);
  await connected(async (sql) => {
    await switchTo(sql, TENANTS[1]);
    await rejects('a tenant that there is not', '3D000', switchTo(sql, 'nobody'));
    await rejects("no tenant's id", '22023', switchTo(sql, 'No Id'));
    await expectPlace('after the refusals', sql, TENANTS[1]);
    for (const attempt of [(t) => switchTo(t, TENANTS[2]), (t) => t.unsafe(`SET leasehold.tenant = '${TENANTS[2]}'`)]) {
      await rejects('a switch in a transaction', '25001', sql.begin(async (transaction) => {
        await expectPlace('in the transaction', transaction, TENANTS[1]);
        await attempt(transaction);
      }));
      await expectPlace('after the transaction', sql, TENANTS[1]);
    }
  });
}

async function settingsAfterASwitch() {
  await connected(async (sql) => {
    await sql`SET application_name = 'wanderer'`;
    await sql`SET TimeZone = 'Etc/GMT+5'`;
    await sql`SET search_path = own, public`;
    for (const tenant of [...TENANTS, ...TENANTS, ...TENANTS]) {
      await switchTo(sql, tenant);
      assert.deepEqual(
          await settingsOf(sql), {name: 'wanderer', zone: 'Etc/GMT+5', path: 'own, public'}, `at ${tenant}`);
      await expectPlace('and it is', sql, tenant);
    }
  });
}

async function preparedAfterASwitch() {
  await connected(async (sql) => {
    const twice = async (n) => (await sql`SELECT ${n}::int * 2 AS n`)[0].n;
    for (let i = 0; i < 15; ++i) {
      const tenant = TENANTS[i % TENANTS.length];
      await switchTo(sql, tenant);
      for (let n = 0; n < 3; ++n) {
        await expectPlace('by a prepared statement', sql, tenant);
        assert.equal(await twice(i + n), (i + n) * 2, 'by another');
      }
    }
    await switchTo(sql, HOME);
    await othersAtWork();
    await expectPlace("after others' work", sql, HOME);
    assert.equal(await twice(21), 42, 'by another after it');
  });
}

async function switchingUnderConcurrency() {
  await everywhere(
      (i) => connected(async (sql) => {
        const draw = random(i);
        for (let n = 0; n < 200; ++n) {
          let tenant = TENANTS[draw(TENANTS.length)];
          const how = draw(3);
          if (how === 0) await sql.unsafe(`SET leasehold.tenant = '${tenant}'`);
          if (how === 1) await switchTo(sql, tenant);
          if (how === 2) {
            await sql`RESET leasehold.tenant`;
            tenant = null;
          }
          await expectPlace(`client ${i}, move ${n}`, sql, tenant);
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
  await everywhere((i) => connected(async (sql) => {
                     await sql`SELECT 1`;
                     if (++here === clients) open();
                     await allHere;  // all are connected at the same time
                     const draw = random(i);
                     for (let n = 0; n < 10; ++n) {
                       let tenant = HOME;
                       if (i % 4 !== 0) {
                         tenant = TENANTS[draw(TENANTS.length)];
                         await switchTo(sql, tenant);
                       }
                       await sql.begin(async (transaction) => {
                         await expectPlace(`client ${i}`, transaction, tenant);
                         await transaction`INSERT INTO entries (client, number) VALUES (${`postgres ${i}`}, ${n})`;
                         await expectPlace(`client ${i} at its end`, transaction, tenant);
                       });
                     }
                   }, i % 4 === 0 ? TENANT : CENTRAL), clients);
}

const CASES = [
  simpleQuery, boundParameters, preparedStatements, preparedThenChanged, pipelining, cursorInParts, copyInAndOut,
  cancel, largeValues, longStatements, errorsInTransactions, settings, refusedSwitches, settingsAfterASwitch,
  preparedAfterASwitch, switchingUnderConcurrency, moreClientsThanServers
];

console.log(`postgres ${(await import('./node_modules/postgres/package.json', {
                          with: {type: 'json'}
                        })).default.version} on Node ${process.version}`);
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
