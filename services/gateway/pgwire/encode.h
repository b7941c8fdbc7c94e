// The messages that a gateway itself sends, appended to a buffer of the caller's.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/gateway/pgwire/error_fields.h"

namespace leasehold::gateway::pgwire {

inline constexpr uint32_t kTextOid = 25;
inline constexpr uint32_t kBoolOid = 16;

// ---- to clients ----

void AuthenticationOk(std::string& out);
void AuthenticationSasl(std::string& out, std::initializer_list<std::string_view> mechanisms);
void AuthenticationSaslContinue(std::string& out, std::string_view data);
void AuthenticationSaslFinal(std::string& out, std::string_view data);
// We speak 3.0 and none of `options`.
void NegotiateProtocolVersion(std::string& out, std::span<const std::string> options);
void ParameterStatus(std::string& out, std::string_view name, std::string_view value);
void BackendKeyData(std::string& out, uint32_t process_id, uint32_t secret);
void ReadyForQuery(std::string& out, char transaction_status);
enum class Severity { kError, kFatal };
void ErrorResponse(std::string& out, Severity severity, const ErrorFields& error);
// As NOTICE.
void NoticeResponse(std::string& out, const ErrorFields& notice);

// Columns of type text.
struct Column {
  std::string name;
  bool binary = false;  // the same bytes for text, but the client wants to be told
};
void RowDescription(std::string& out, std::span<const Column> columns);
void DataRow(std::string& out, std::span<const std::string> values);
void CommandComplete(std::string& out, std::string_view tag);
// `rest`: of the body, behind the process id.
void NotificationResponse(std::string& out, uint32_t process_id, std::string_view rest);
void ParseComplete(std::string& out);
void BindComplete(std::string& out);
void CloseComplete(std::string& out);
void NoData(std::string& out);
void EmptyQueryResponse(std::string& out);
void ParameterDescription(std::string& out, std::span<const uint32_t> types);

// ---- to servers ----

void Startup(std::string& out, std::span<const std::pair<std::string, std::string>> settings);
void SslRequestPacket(std::string& out);
void CancelRequestPacket(std::string& out, uint32_t process_id, uint32_t secret);
void SaslInitialResponse(std::string& out, std::string_view mechanism, std::string_view data);
void SaslResponse(std::string& out, std::string_view data);
void Query(std::string& out, std::string_view sql);
void Parse(std::string& out, std::string_view statement, std::string_view sql);
// `rest`: of the body, behind the name.
void ParseFrame(std::string& out, std::string_view statement, std::string_view rest);
void CloseStatement(std::string& out, std::string_view statement);
// Type and length, for a body of `size` bytes that the caller appends.
void Header(std::string& out, char type, size_t size);
void Flush(std::string& out);
void Sync(std::string& out);
void Terminate(std::string& out);

}  // namespace leasehold::gateway::pgwire
