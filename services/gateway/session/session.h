// One client of the SQL endpoint: logs in with a lease, then relays between it and one server connection, answering
// itself what concerns the lease. Two coroutines on one loop: Upstream reads the client, Downstream reads the server.
//
//   session.cc     its life: run, end, drain, cancel, the way to a server
//   login.cc       start-up packet, TLS, SCRAM, where it starts
//   upstream.cc    client → server: what is relayed, what is ours
//   downstream.cc  server → client
//   commands.cc    the statements that the gateway answers
#pragma once

#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/ip/tcp.hpp>
#include <chrono>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/lease/authority.h"
#include "services/gateway/pgwire/command.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pgwire/frame.h"
#include "services/gateway/pgwire/startup.h"
#include "services/gateway/pool/instance_pool.h"
#include "services/gateway/pool/read_buffer.h"
#include "services/gateway/pool/stream.h"
#include "services/gateway/pool/wait.h"
#include "services/gateway/session/context.h"
#include "services/gateway/session/exchange_tracker.h"
#include "services/gateway/session/verifier_cache.h"
#include "services/gateway/session/virtual_statements.h"

namespace leasehold::gateway {

// All methods on the session's loop.
class Session : public std::enable_shared_from_this<Session> {
 public:
  // `context` and `verifiers` (the loop's) outlive the session.
  Session(asio::ip::tcp::socket client, SessionContext& context, VerifierCache& verifiers);
  ~Session();

  // Its whole life. Spawn it bound to stop_slot().
  asio::awaitable<void> Run();
  asio::cancellation_slot stop_slot() { return stop_.slot(); }

  // Says `why` to the client as FATAL, if it has a code and the client can hear it, and hangs up; what runs on the
  // server is cancelled. Idempotent.
  void End(pgwire::ErrorFields why);

  // Ends now if between transactions, else as soon as it is.
  void Drain();

  // Cancels what runs on the server, if anything does.
  asio::awaitable<void> CancelQuery();

  asio::any_io_executor executor() { return client_.executor(); }

 private:
  // An error without code: the client has gone, or should go without a word.
  using Outcome = std::expected<void, pgwire::ErrorFields>;

  // A server connection in use, and how it is to be left.
  struct Server {
    std::shared_ptr<InstancePool> pool;
    ServerConnectionPtr connection;
    LeftBehind left = LeftBehind::kWorking;
  };

  // session.cc
  asio::awaitable<void> Farewell(pgwire::ErrorFields why);
  asio::awaitable<absl::StatusOr<Route>> Resolve(std::optional<TenantId> tenant);
  // Connects to where the session is, if it is not connected.
  asio::awaitable<Outcome> EnsureServer();
  // Gives the server connection up; Downstream retires it.
  void DropServer(LeftBehind left);
  // Waits until everything that was sent to the server is answered. False: the session has ended.
  asio::awaitable<bool> Settle();
  // Waits until nobody is in the middle of a message to the client: the rest of one that the server has begun (a
  // notification, say) is still the client's. False: the session has ended.
  asio::awaitable<bool> ClientFree();
  // Writes the gateway's own answers to the client, between the server's messages. False: the session has ended.
  asio::awaitable<bool> FlushAnswers();
  bool Idle() const;
  bool away() const { return tenant_ != grant_->home_tenant; }
  Settings ServerSettings() const;
  void CountBytes();

  // login.cc
  asio::awaitable<Outcome> LogIn();
  asio::awaitable<bool> ReadMore();
  asio::awaitable<std::expected<pgwire::StartupMessage, pgwire::ErrorFields>> ReadStartup();
  asio::awaitable<Outcome> AnswerSslRequest();
  asio::awaitable<void> ForwardCancel(pgwire::CancelRequest request);
  asio::awaitable<Outcome> Authenticate(const std::string& user_name);
  asio::awaitable<std::expected<std::string, pgwire::ErrorFields>> ReadPassword();
  Outcome TakeSettings(pgwire::StartupMessage& startup);
  asio::awaitable<Outcome> ChooseStart(const std::string& database);
  void WatchLease();

  // upstream.cc
  enum class Verdict { kRelay, kMore, kHandle };
  struct Scanned {
    enum class Next { kRead, kNeedServer, kHandle, kViolation };
    size_t relay = 0;  // bytes at the front of the inbox that are the server's
    Next next = Next::kRead;
    pgwire::Frame frame;
  };
  asio::awaitable<void> Upstream();
  Scanned Scan();
  Verdict Judge(std::string_view bytes, const pgwire::Frame& frame);
  Verdict JudgeStatement(std::string_view bytes, const pgwire::Frame& frame);
  Verdict JudgeName(std::string_view bytes, const pgwire::Frame& frame);
  void RelayNow(size_t& count);
  asio::awaitable<void> Relay(size_t count);
  asio::awaitable<void> Handle(pgwire::Frame frame);
  asio::awaitable<void> HandleSync();
  void Discard(size_t frame_size);
  // A message of the gateway's own making, of `type`. Errors show on the other side: Downstream tells.
  asio::awaitable<void> SendToServer(char type, std::string message);

  // commands.cc
  asio::awaitable<void> HandleQuery(std::string_view body, bool complete);
  asio::awaitable<void> HandleStep(char type, std::string_view body, bool complete);
  asio::awaitable<Outcome> RunStep(char type, std::string_view body);
  asio::awaitable<Outcome> ExecutePortal(std::string_view body);
  Outcome PrepareCommand(std::string_view body);
  Outcome BindPortal(std::string_view body);
  Outcome Describe(std::string_view body);
  // Its row, if the command has rows.
  asio::awaitable<std::expected<std::vector<std::string>, pgwire::ErrorFields>> Run(const BoundCommand& bound);
  asio::awaitable<Outcome> SwitchTo(std::optional<TenantId> tenant);
  asio::awaitable<void> GoHome();
  std::vector<std::string> SessionRow() const;
  // Answers a statement with an error the way PostgreSQL would, and makes the server's transaction, if there is one,
  // fail with it.
  asio::awaitable<void> FailQuery(pgwire::ErrorFields error);
  asio::awaitable<void> FailStep(pgwire::ErrorFields error);

  // downstream.cc
  asio::awaitable<void> Downstream(std::shared_ptr<Server> server);
  // How many bytes at the front of `inbox` are for the client now. nullopt: not the protocol.
  struct DownstreamPosition {
    size_t passing = 0;   // bytes of the present frame still to come, for the client
    size_t dropping = 0;  // … for nobody
    char last = '\0';     // type of the present frame
  };
  std::optional<size_t> ScanServer(ReadBuffer& inbox, DownstreamPosition& at);
  void NoteParameter(std::string_view body);
  void LogStatements();

  SessionContext& context_;
  VerifierCache& verifiers_;
  Stream client_;
  asio::cancellation_signal stop_;
  bool ended_ = false;
  bool draining_ = false;

  // Who and where.
  GrantPtr grant_;
  std::optional<TenantId> tenant_;
  std::string central_database_;  // of the lease's named connection, once known
  std::unique_ptr<LeaseAuthority::Attachment> attachment_;
  BackendKey key_;
  Settings startup_settings_;                                 // the client's own
  std::map<std::string, std::string, std::less<>> reported_;  // ParameterStatus, as the client last heard
  std::map<std::string, std::string, std::less<>> carried_;   // what the client has SET of what a switch keeps

  // Towards the server.
  std::shared_ptr<Server> server_;
  ReadBuffer inbox_;       // from the client
  size_t passing_ = 0;     // bytes of the present frame still to be relayed
  size_t discarding_ = 0;  // … still to be dropped
  bool reading_ = false;   // waits for the client, with nothing half done
  ExchangeTracker tracker_;
  Wakeup settled_;
  pgwire::Recognition recognition_;  // of the frame that Judge saw last
  VirtualStatements virtuals_;
  bool skip_to_sync_ = false;   // a step failed here: ignore what follows up to Sync, as PostgreSQL would
  bool batch_is_ours_ = false;  // a step since the last Sync was answered here

  // Towards the client.
  std::string answers_;       // of the gateway itself, not yet written
  bool client_busy_ = false;  // somebody is in the middle of a message to the client
  Wakeup client_free_;
  bool swallow_error_ = false;  // the server's next ErrorResponse has been told to the client in our words

  uint64_t bytes_in_ = 0;
  uint64_t bytes_out_ = 0;
  std::string logged_sql_;
  std::chrono::steady_clock::time_point logged_since_;
};

}  // namespace leasehold::gateway
