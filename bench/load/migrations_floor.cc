// The floor of a migration over many databases: bare libpq, as many connections at once, each database opened once and
// given one statement and its record in one transaction. `leasehold-bench-migrations SESSIONS SQL < conninfo lines`
#include <postgresql/libpq-fe.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: leasehold-bench-migrations SESSIONS SQL < one conninfo a line\n", stderr);
    return 2;
  }
  const int sessions = std::atoi(argv[1]);
  const std::string sql = std::string("BEGIN;") + argv[2] + ";COMMIT";
  std::vector<std::string> databases;
  for (std::string line; std::getline(std::cin, line);) databases.push_back(line);
  std::atomic<size_t> next = 0;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < sessions; ++i) {
      threads.emplace_back([&] {
        for (size_t at = next++; at < databases.size(); at = next++) {
          PGconn* connection = PQconnectdb(databases[at].c_str());
          PGresult* result = PQexec(connection, sql.c_str());
          if (PQresultStatus(result) != PGRES_COMMAND_OK && failed++ == 0) {
            std::fprintf(stderr, "error: %s", PQerrorMessage(connection));
          }
          PQclear(result);
          PQfinish(connection);
        }
      });
    }
  }
  return failed == 0 ? 0 : 1;
}
