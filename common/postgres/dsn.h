// Connection strings that say how the connection is encrypted.
#pragma once

#include <string>
#include <string_view>

namespace leasehold::postgres {

// In libpq's words; empty: libpq's own choice.
struct Encryption {
  std::string_view sslmode = "prefer";
  std::string_view sslrootcert = "";
  std::string_view channel_binding = "";
};

// host, port, dbname, user and so on as a libpq keyword/value string, each quoted.
std::string Dsn(std::string_view host, int port, std::string_view database, std::string_view user,
                const Encryption& encryption);

}  // namespace leasehold::postgres
