// For tests: messages of one's own, in an order that libpq never sends, on the socket of a libpq connection that has
// logged in.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstdint>
#include <format>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pgwire/frame.h"
#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {

class Wire {
 public:
  explicit Wire(const Client& client) : fd_(PQsocket(client.get())) {
    fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) & ~O_NONBLOCK);
    const timeval patience = {.tv_sec = 30, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }

  Wire& Query(std::string_view sql) {
    pgwire::Query(out_, sql);
    return *this;
  }
  Wire& Parse(std::string_view name, std::string_view sql) {
    pgwire::Parse(out_, name, sql);
    return *this;
  }
  // All in text.
  Wire& Bind(std::string_view statement, const std::vector<std::string>& values = {}) {
    std::string body = std::string(1, '\0') + std::string(statement) + '\0' + U16(0) + U16(values.size());
    for (const std::string& value : values) body += U16(0) + U16(value.size()) + value;
    return Add('B', body + U16(0));
  }
  // 'S' a statement, 'P' a portal.
  Wire& Describe(char kind, std::string_view name = "") { return Add('D', kind + std::string(name) + '\0'); }
  Wire& Execute() { return Add('E', std::string(5, '\0')); }
  // … a statement.
  Wire& Close(std::string_view name) { return Add('C', 'S' + std::string(name) + '\0'); }
  Wire& Flush() { return Add('H', ""); }
  Wire& Sync() { return Add('S', ""); }
  Wire& CopyData(const std::string& data) { return Add('d', data); }
  Wire& Terminate() { return Add('X', ""); }

  bool Send() { return Send(out_.size()); }
  // So many bytes of what has been written; the rest comes with the next Send.
  bool Send(size_t bytes) {
    const std::string out = out_.substr(0, bytes);
    out_.erase(0, bytes);
    return send(fd_, out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size());
  }
  // Sends what has been written, and reads up to a message of type `last`. What has come: "1 2 T2 D(1,new) C(SELECT 1)
  // Z(I)", "E(0A000)".
  std::string Talk(char last = 'Z') {
    if (!Send()) return "lost";
    std::string heard;
    while (true) {
      pgwire::Frame frame;
      while (pgwire::ReadHeader(in_, pgwire::kLargestBody, frame) != pgwire::Answer::kDone || frame.size > in_.size()) {
        char bytes[8192];
        const ssize_t count = recv(fd_, bytes, sizeof(bytes), 0);
        if (count <= 0) return heard + " lost";
        in_.append(bytes, static_cast<size_t>(count));
      }
      const std::string shown = Show(frame.type, std::string_view(in_).substr(5, frame.size - 5));
      in_.erase(0, frame.size);
      if (!shown.empty()) heard += (heard.empty() ? "" : " ") + shown;
      if (frame.type == last) return heard;
    }
  }

 private:
  static std::string U16(size_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }
  Wire& Add(char type, const std::string& body) {
    pgwire::Header(out_, type, body.size());
    out_ += body;
    return *this;
  }

  // Empty: of no interest.
  static std::string Show(char type, std::string_view body) {
    pgwire::BodyReader reader(body);
    switch (type) {
      case 'N':
      case 'S':
        return "";
      case 'E':
        return std::format("E({})", pgwire::ReadErrorFields(body).code);
      case 'C':
        return std::format("C({})", reader.CString());
      case 'Z':
        return std::format("Z({})", body);
      case 'T':
        return std::format("T{}", reader.U16());
      case 'D': {
        std::string values;
        for (int left = reader.U16(); left > 0; --left) {
          const uint32_t size = reader.U32();
          values += (values.empty() ? "" : ",") + std::string(size == 0xffffffff ? "NULL" : reader.Bytes(size));
        }
        return std::format("D({})", values);
      }
      default:
        return std::string(1, type);
    }
  }

  const int fd_;
  std::string out_;
  std::string in_;
};

}  // namespace leasehold::gateway::testing_stack
