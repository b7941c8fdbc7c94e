// The chain of hashes that the trail's records hang on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace leasehold::gateway {

// What the first record's `previous` is: 32 zero bytes.
std::string AuditChainStart();

// SHA-256(previous ‖ number in decimal ‖ "\n" ‖ gateway ‖ "\n" ‖ events): 32 bytes. PostgreSQL can compute it too, see
// docs/audit.md. A gateway's name holds no newline.
std::string AuditHash(std::string_view previous, int64_t number, std::string_view gateway, std::string_view events);

}  // namespace leasehold::gateway
