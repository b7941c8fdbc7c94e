#include "bench/load/sql_client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <postgresql/libpq-fe.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/log/absl_check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace leasehold::bench {
namespace {

constexpr uint32_t kProtocol = 3 << 16;
constexpr size_t kHeaderBytes = 5;
constexpr size_t kMaxMessageBytes = 1 << 20;

uint32_t ReadInt32(std::string_view bytes) {
  uint32_t big_endian = 0;
  std::memcpy(&big_endian, bytes.data(), sizeof big_endian);
  return ntohl(big_endian);
}

void AppendInt32(std::string& out, size_t value) {
  const uint32_t big_endian = htonl(static_cast<uint32_t>(value));
  out.append(reinterpret_cast<const char*>(&big_endian), sizeof big_endian);
}

void AppendMessage(std::string& out, char type, std::string_view body) {
  out.push_back(type);
  AppendInt32(out, body.size() + 4);
  out.append(body);
}

// Of an ErrorResponse: letter, text, NUL, and so on.
std::string SqlState(std::string_view fields) {
  while (!fields.empty() && fields.front() != '\0') {
    const size_t end = fields.find('\0');
    if (end == std::string_view::npos) break;
    if (fields.front() == 'C') return std::string(fields.substr(1, end - 1));
    fields.remove_prefix(end + 1);
  }
  return "protocol";
}

// Of a DataRow; empty for NULL.
std::optional<std::string_view> FirstColumn(std::string_view row) {
  if (row.size() < 2 + 4) return std::nullopt;
  const auto length = std::bit_cast<int32_t>(ReadInt32(row.substr(2)));
  if (length < 0) return "";
  if (row.size() < 6 + static_cast<size_t>(length)) return std::nullopt;
  return row.substr(6, static_cast<size_t>(length));
}

}  // namespace

absl::StatusOr<Target> ParseTarget(const std::string& dsn) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(dsn.c_str(), nullptr),
                                                                             &PQconninfoFree);
  if (options == nullptr) return absl::InvalidArgumentError("not a connection string");
  Target target;
  target.address.sin_family = AF_INET;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string_view keyword = option->keyword;
    if (keyword == "user") target.user = option->val;
    if (keyword == "password") target.password = option->val;
    if (keyword == "dbname") target.database = option->val;
    if (keyword == "host" && inet_pton(AF_INET, option->val, &target.address.sin_addr) != 1) {
      return absl::InvalidArgumentError(absl::StrCat("the host is ", option->val, "; an IPv4 address is needed"));
    }
    int port = 0;
    if (keyword != "port") continue;
    if (!absl::SimpleAtoi(option->val, &port) || port < 1 || port > 65535) {
      return absl::InvalidArgumentError(absl::StrCat("the port is ", option->val));
    }
    target.address.sin_port = htons(static_cast<uint16_t>(port));
  }
  if (target.address.sin_port == 0 || target.address.sin_addr.s_addr == 0 || target.user.empty()) {
    return absl::InvalidArgumentError("a connection string names host, port and user");
  }
  return target;
}

void SqlClient::Connect(const Target& target) {
  ABSL_CHECK(state_ == State::kClosed);
  state_ = State::kConnecting;
  target_ = &target;
  started_ = false;
  login_.reset();
  out_.clear();
  in_.clear();
  failure_.clear();
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return;
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const bool started = connect(fd_, reinterpret_cast<const sockaddr*>(&target.address), sizeof target.address) == 0 ||
                       errno == EINPROGRESS;
  epoll_event interest{.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data = {.u64 = tag_}};
  if (started && epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &interest) == 0) return;
  close(fd_);
  fd_ = -1;
}

void SqlClient::Query(std::string_view sql) {
  ABSL_CHECK(state_ == State::kReady);
  state_ = State::kRunning;
  value_.clear();
  has_row_ = false;
  failure_.clear();
  out_.push_back('Q');
  AppendInt32(out_, sql.size() + 1 + 4);
  out_.append(sql);
  out_.push_back('\0');
  Send();  // a dead connection is reported by epoll too
}

void SqlClient::Close() {
  ABSL_CHECK(state_ == State::kReady);
  AppendMessage(out_, 'X', "");
  Send();
  Abandon();
}

void SqlClient::Abandon() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  state_ = State::kClosed;
}

SqlClient::Event SqlClient::Broken(std::string_view failure) {
  failure_ = failure;
  Abandon();
  return Event::kBroken;
}

SqlClient::Event SqlClient::OnEvent() {
  if (state_ == State::kClosed) return Event::kNothing;
  if (fd_ < 0) return Broken("refused");
  if (state_ == State::kConnecting && !started_) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Broken("refused");
    if (!SendStartup()) return Broken("hung up");
  }
  const bool sent = out_.empty() || Send();
  const bool open = Receive() && sent;
  size_t at = 0;
  std::optional<Event> event;
  while (!event && in_.size() - at >= kHeaderBytes) {
    const std::string_view rest = std::string_view(in_).substr(at);
    const size_t size = ReadInt32(rest.substr(1));
    if (size < 4 || size > kMaxMessageBytes) return Broken("protocol");
    if (rest.size() < 1 + size) break;
    event = OnMessage(rest.front(), rest.substr(kHeaderBytes, size - 4));
    at += 1 + size;
  }
  in_.erase(0, at);
  if (event == Event::kBroken) return *event;
  if (!open) return Broken(failure_.empty() ? "hung up" : std::string(failure_));
  return event.value_or(Event::kNothing);
}

std::optional<SqlClient::Event> SqlClient::OnMessage(char type, std::string_view body) {
  switch (type) {
    case 'R':
      return OnAuthentication(body);
    case 'E':
      failure_ = SqlState(body);
      return std::nullopt;  // ReadyForQuery follows, or the end
    case 'D':
      if (!has_row_) {
        const auto column = FirstColumn(body);
        if (!column) return Broken("protocol");
        value_ = *column;
        has_row_ = true;
      }
      return std::nullopt;
    case 'Z':
      return OnReadyForQuery();
    case 'S':
    case 'K':
    case 'N':
    case 'T':
    case 'C':
    case 'I':
      return std::nullopt;
    default:
      return Broken("protocol");
  }
}

std::optional<SqlClient::Event> SqlClient::OnReadyForQuery() {
  const bool was_running = state_ == State::kRunning;
  if (!was_running && state_ != State::kConnecting) return Broken("protocol");
  state_ = State::kReady;
  return was_running ? Event::kAnswer : Event::kReady;
}

std::optional<SqlClient::Event> SqlClient::OnAuthentication(std::string_view body) {
  constexpr uint32_t kOk = 0;
  constexpr uint32_t kSasl = 10;
  constexpr uint32_t kSaslContinue = 11;
  constexpr uint32_t kSaslFinal = 12;
  constexpr std::string_view kMechanism{"SCRAM-SHA-256\0", 14};
  if (body.size() < 4 || state_ != State::kConnecting) return Broken("protocol");
  const uint32_t kind = ReadInt32(body);
  body.remove_prefix(4);
  if (kind == kOk) return std::nullopt;
  if (kind == kSasl && body.find(kMechanism) != std::string_view::npos) {
    login_.emplace(keys_, target_->password);
    const std::string first = login_->ClientFirst();
    std::string answer(kMechanism);
    AppendInt32(answer, first.size());
    answer += first;
    AppendMessage(out_, 'p', answer);
  } else if (kind == kSaslContinue && login_) {
    const auto answer = login_->OnServerFirst(body);
    if (!answer.ok()) return Broken("protocol");
    AppendMessage(out_, 'p', *answer);
  } else if (kind == kSaslFinal && login_) {
    if (!login_->OnServerFinal(body).ok()) return Broken("protocol");
    return std::nullopt;
  } else {
    return Broken("protocol");
  }
  Send();
  return std::nullopt;
}

bool SqlClient::SendStartup() {
  started_ = true;
  std::string packet;
  AppendInt32(packet, kProtocol);
  for (const std::string_view text : {std::string_view("user"), std::string_view(target_->user),
                                      std::string_view("database"), std::string_view(target_->database)}) {
    packet.append(text);
    packet.push_back('\0');
  }
  packet.push_back('\0');
  AppendInt32(out_, packet.size() + 4);
  out_ += packet;
  return Send();
}

bool SqlClient::Send() {
  size_t sent = 0;
  while (sent < out_.size()) {
    const ssize_t count = send(fd_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN) return false;
    if (count < 0) break;  // epoll tells when it goes on
    sent += static_cast<size_t>(count);
  }
  out_.erase(0, sent);
  return true;
}

bool SqlClient::Receive() {
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t count = recv(fd_, buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    in_.append(buffer.data(), static_cast<size_t>(count));
  }
}

}  // namespace leasehold::bench
