#include "services/gateway/pgwire/encode.h"

#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway::pgwire {
namespace {

void U16(std::string& out, uint32_t value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value));
}

void U32(std::string& out, uint32_t value) {
  U16(out, value >> 16);
  U16(out, value & 0xffff);
}

void CString(std::string& out, std::string_view text) {
  out.append(text.substr(0, text.find('\0')));
  out.push_back('\0');
}

// Writes type and length around a body; the length is filled in at the end of its scope.
class Message {
 public:
  Message(std::string& out, char type) : Message(out) { out_.insert(at_++, 1, type); }
  explicit Message(std::string& out) : out_(out), at_(out.size()) { U32(out_, 0); }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message() {
    const auto length = static_cast<uint32_t>(out_.size() - at_);
    for (int i = 0; i < 4; ++i) out_[at_ + static_cast<size_t>(i)] = static_cast<char>(length >> (24 - 8 * i));
  }

 private:
  std::string& out_;
  size_t at_;
};

void Authentication(std::string& out, uint32_t kind, std::string_view data) {
  Message message(out, 'R');
  U32(out, kind);
  out.append(data);
}

}  // namespace

void AuthenticationOk(std::string& out) { Authentication(out, 0, ""); }

void AuthenticationSasl(std::string& out, std::initializer_list<std::string_view> mechanisms) {
  std::string list;
  for (const std::string_view mechanism : mechanisms) CString(list, mechanism);
  list.push_back('\0');
  Authentication(out, 10, list);
}

void AuthenticationSaslContinue(std::string& out, std::string_view data) { Authentication(out, 11, data); }
void AuthenticationSaslFinal(std::string& out, std::string_view data) { Authentication(out, 12, data); }

void NegotiateProtocolVersion(std::string& out, std::span<const std::string> options) {
  Message message(out, 'v');
  U32(out, 3 << 16);
  U32(out, static_cast<uint32_t>(options.size()));
  for (const std::string& option : options) CString(out, option);
}

void ParameterStatus(std::string& out, std::string_view name, std::string_view value) {
  Message message(out, 'S');
  CString(out, name);
  CString(out, value);
}

void BackendKeyData(std::string& out, uint32_t process_id, uint32_t secret) {
  Message message(out, 'K');
  U32(out, process_id);
  U32(out, secret);
}

void ReadyForQuery(std::string& out, char transaction_status) {
  Message message(out, 'Z');
  out.push_back(transaction_status);
}

namespace {

void Fields(std::string& out, std::string_view severity, const ErrorFields& fields) {
  const auto field = [&out](char name, std::string_view value) {
    if (value.empty()) return;
    out.push_back(name);
    CString(out, value);
  };
  field('S', severity);
  field('V', severity);
  field('C', fields.code);
  field('M', fields.message);
  field('D', fields.detail);
  field('H', fields.hint);
  out.push_back('\0');
}

}  // namespace

void ErrorResponse(std::string& out, Severity severity, const ErrorFields& error) {
  Message message(out, 'E');
  Fields(out, severity == Severity::kFatal ? "FATAL" : "ERROR", error);
}

void NoticeResponse(std::string& out, const ErrorFields& notice) {
  Message message(out, 'N');
  Fields(out, "NOTICE", notice);
}

void RowDescription(std::string& out, std::span<const Column> columns) {
  Message message(out, 'T');
  U16(out, static_cast<uint32_t>(columns.size()));
  for (const Column& column : columns) {
    CString(out, column.name);
    U32(out, 0);  // of no table
    U16(out, 0);
    U32(out, kTextOid);
    U16(out, 0xffff);      // variable length
    U32(out, 0xffffffff);  // no modifier
    U16(out, column.binary ? 1 : 0);
  }
}

void DataRow(std::string& out, std::span<const std::string> values) {
  Message message(out, 'D');
  U16(out, static_cast<uint32_t>(values.size()));
  for (const std::string& value : values) {
    U32(out, static_cast<uint32_t>(value.size()));
    out.append(value);
  }
}

void NotificationResponse(std::string& out, uint32_t process_id, std::string_view rest) {
  Message message(out, 'A');
  U32(out, process_id);
  out.append(rest);
}

void CommandComplete(std::string& out, std::string_view tag) {
  Message message(out, 'C');
  CString(out, tag);
}

void ParseComplete(std::string& out) { Message message(out, '1'); }
void BindComplete(std::string& out) { Message message(out, '2'); }
void CloseComplete(std::string& out) { Message message(out, '3'); }
void NoData(std::string& out) { Message message(out, 'n'); }
void EmptyQueryResponse(std::string& out) { Message message(out, 'I'); }

void ParameterDescription(std::string& out, std::span<const uint32_t> types) {
  Message message(out, 't');
  U16(out, static_cast<uint32_t>(types.size()));
  for (const uint32_t type : types) U32(out, type);
}

void Startup(std::string& out, std::span<const std::pair<std::string, std::string>> settings) {
  Message message(out);
  U32(out, 3 << 16);
  for (const auto& [name, value] : settings) {
    CString(out, name);
    CString(out, value);
  }
  out.push_back('\0');
}

void SslRequestPacket(std::string& out) {
  Message message(out);
  U32(out, 1234 << 16 | 5679);
}

void CancelRequestPacket(std::string& out, uint32_t process_id, uint32_t secret) {
  Message message(out);
  U32(out, 1234 << 16 | 5678);
  U32(out, process_id);
  U32(out, secret);
}

void SaslInitialResponse(std::string& out, std::string_view mechanism, std::string_view data) {
  Message message(out, 'p');
  CString(out, mechanism);
  U32(out, static_cast<uint32_t>(data.size()));
  out.append(data);
}

void SaslResponse(std::string& out, std::string_view data) {
  Message message(out, 'p');
  out.append(data);
}

void Query(std::string& out, std::string_view sql) {
  Message message(out, 'Q');
  CString(out, sql);
}

void Parse(std::string& out, std::string_view statement, std::string_view sql) {
  Message message(out, 'P');
  CString(out, statement);
  CString(out, sql);
  U16(out, 0);
}

void ParseFrame(std::string& out, std::string_view statement, std::string_view rest) {
  Message message(out, 'P');
  CString(out, statement);
  out.append(rest);
}

void CloseStatement(std::string& out, std::string_view statement) {
  Message message(out, 'C');
  out.push_back('S');
  CString(out, statement);
}

void Header(std::string& out, char type, size_t size) {
  out.push_back(type);
  U32(out, static_cast<uint32_t>(size + 4));
}

void Flush(std::string& out) { Message message(out, 'H'); }
void Sync(std::string& out) { Message message(out, 'S'); }
void Terminate(std::string& out) { Message message(out, 'X'); }

}  // namespace leasehold::gateway::pgwire
