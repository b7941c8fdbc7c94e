// One client of the SQL endpoint, logged in: relays between it and a server that it has for a transaction at a time,
// and answers itself what concerns the lease.
//
//   login.cc       before: start-up packet, TLS, SCRAM, where it starts (a Session is made at its end)
//   session.cc     its life: greeting, end, drain, cancel
//   upstream.cc    client → server: what is relayed, what is rewritten, what is ours
//   statements.cc  prepared statements, which follow the client from server to server
//   healing.cc     … and are prepared anew when DDL has overtaken them
//   downstream.cc  server → client
//   attachment.cc  coming by a server, with the client's settings, and giving it back
//   leftovers.cc   what a transaction has left in its server
//   lost.cc        a transaction whose server has died
//   idle.cc        a client that has nothing to say for too long
//   commands.cc    the statements that the gateway answers
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "services/gateway/lease/authority.h"
#include "services/gateway/pgwire/command.h"
#include "services/gateway/pgwire/effects.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pgwire/frame.h"
#include "services/gateway/pool/instance_pool.h"
#include "services/gateway/session/context.h"
#include "services/gateway/session/exchange.h"
#include "services/gateway/session/virtual_statements.h"

namespace leasehold::gateway {

// A setting that is the session's own, and kept off servers: idle.cc.
inline constexpr std::string_view kIdleSessionTimeout = "idle_session_timeout";

// What a log-in ends with.
struct Admission {
  Transport client;
  std::string early;    // bytes that came behind the last of the log-in's
  std::string welcome;  // what the client is still to be told, up to AuthenticationOk
  GrantPtr grant;
  std::optional<TenantId> tenant;
  Route route;
  SettingMap settings;  // without idle_session_timeout …
  absl::Duration idle_timeout;
  uint64_t bytes_in = 0;
  std::unique_ptr<ClientTicket> ticket;
};

// All methods on the loop of its service's pool.
class Session final : public Loop::Watcher, public ServerClient, public std::enable_shared_from_this<Session> {
 public:
  // `context` and `pool` outlive the session. `on_gone`: nothing is left of it but the object.
  Session(Admission admission, SessionContext& context, InstancePool& pool, std::function<void(Session&)> on_gone);
  ~Session();

  // Greets the client, once.
  void Begin();

  // Says `why` to the client as FATAL, if it has a code and the client can hear it, and hangs up; what runs on the
  // server is cancelled. Idempotent.
  void End(pgwire::ErrorFields why);

  // Ends now if between transactions, else as soon as it is.
  void Drain();

  // Cancels what runs on the server, or the wait for one. `done`: PostgreSQL has sent the signal.
  void CancelQuery(std::move_only_function<void()> done);

  Loop& loop() { return pool_.loop(); }

  // Its loop's and its pool's.
  void OnReady(uint32_t events) override;
  uint32_t* Account() override { return counted_in_ == nullptr ? nullptr : &counted_in_->turns; }
  void OnServer(Server& server) override;
  void OnNoServer(const pgwire::ErrorFields& why) override;
  void OnServerReady(Server& server) override;

 private:
  // What the client's next message waits for.
  enum class Stage : uint8_t {
    kGreeting,     // a server to learn from what the client is told first
    kServing,      // nothing
    kWaiting,      // a server
    kPreparing,    // the client's settings, on a server just come by
    kReadingBack,  // what the transaction made of settings
    kSettling,     // the answers to what was sent before
    kHealing,      // the end of a batch that is to be sent again
    kResolving,    // where a tenant's database is
    kEnded,
  };
  // How a message was dealt with.
  enum class Handled : uint8_t {
    kDone,
    kRelayed,   // as far as it has come; the rest follows as it comes
    kWaits,     // for something: it will be shown again
    kReplaced,  // by `replacement_`
  };
  enum class Verdict : uint8_t { kRelay, kMore, kHandle, kViolation };
  // What has become of a RESET ALL or DISCARD ALL that the server does.
  enum class Homeward : uint8_t { kNo, kSent, kRan, kSure };
  // The server has died in a transaction, and the client has not ended that yet: to the client it is one that failed.
  enum class Lost : uint8_t { kNo, kUntold, kTold };

  // session.cc
  void Greet();
  void WatchLease();
  void FlushClient();
  void ReadClient();
  void Resume();  // goes on with what the client has sent
  void Gone();
  void CountIn(Share* share);  // … of where it is; nullptr: nowhere
  bool Idle() const;
  void CountBytes();
  void CountQuery(char transaction_status);  // answered, up to its ReadyForQuery
  void CountOwnAnswer();                     // … by us: refused, mostly
  static pgwire::ErrorFields Cancelled();
  std::optional<absl::StatusOr<Route>> Resolve(const std::optional<TenantId>& tenant);

  // attachment.cc
  // True: there is a server, with the client's settings. False: later, or there is a `refusal_`.
  bool Attach();
  void Attached(Server& server);
  void BeginPreparing();
  void Prepared(bool well);
  void GiveBack(Leftover leftover);
  void GreetAgain(const pgwire::ErrorFields& why);
  void LoseServer();
  void TellOfLoss(const pgwire::ErrorFields& why);
  void TellParameters();
  bool held() const { return pins_ != 0 || grant_->session; }

  // leftovers.cc
  bool ReadsStringsOtherwise() const;
  void TakeOverPrepared();
  std::optional<pgwire::ErrorFields> LeavesTooMuch(const pgwire::Effects& effects) const;
  void NoteEffects(const pgwire::Effects& effects);  // … of a statement on its way to the server
  void NoteResetAll();
  void AfterTransaction();
  bool AsksForPins() const { return (doubtful_pins_ & pins_) != 0 && !grant_->session; }
  bool AsksForNames() const {
    return names_in_doubt_ && !sql_prepared_.empty() && (doubtful_ || (doubtful_pins_ & pgwire::kPinPrepare) != 0);
  }
  void BeginReadingBack();
  void ReadBack(std::string_view data_row);
  void FinishReadingBack();
  SettingsPtr WithReset(const SettingsPtr& from, const std::string& name);
  void TellPins();

  // upstream.cc
  size_t Consume(std::string_view data);
  bool MustWait(const pgwire::Frame& frame) const;
  std::optional<pgwire::ErrorFields> MayNotReset() const;
  Verdict Judge(std::string_view bytes, const pgwire::Frame& frame);
  Verdict JudgeStatement(std::string_view bytes, const pgwire::Frame& frame);
  Verdict JudgeName(std::string_view bytes, const pgwire::Frame& frame);
  bool IsOurs(const pgwire::Command& alone) const;
  Verdict JudgeCommands(std::string_view sql, bool whole);
  Handled Handle(std::string_view bytes, const pgwire::Frame& frame);
  Handled HandleSync();
  Handled Settle();  // kDone: nothing is outstanding
  void Refused(const pgwire::Frame& frame, const pgwire::ErrorFields& why);

  // lost.cc
  char TransactionStatus() const { return lost_ == Lost::kNo ? exchange_.transaction_status() : 'E'; }
  std::optional<Handled> HandleInLost(std::string_view bytes, const pgwire::Frame& frame);
  Handled QueryInLost(std::string_view bytes, bool complete);
  pgwire::ErrorFields EndLostTransaction();
  pgwire::ErrorFields WhyLost();

  // idle.cc
  void SetIdleTimeout(absl::Duration timeout);
  void ArmIdleTimer(absl::Duration left);
  void OnIdleTimer();
  void ForgetIdleTimer();

  // statements.cc
  std::string Reading() const;
  Handled ParseStatement(std::string_view body);
  Handled UseStatement(std::string_view bytes, const pgwire::Frame& frame, std::string_view name, size_t name_at);
  Handled CloseStatement(std::string_view name);
  void NoteBind(std::string_view body, const pgwire::Effects& effects);
  static std::string_view OurSettingIn(const pgwire::BindBody& bind, const pgwire::Effects& effects);
  std::string_view SqlOf(std::string_view statement) const;
  const pgwire::Effects& EffectsOf(std::string_view statement) const;
  // One of the client's. `told`: when it last was told of the statement's columns, or could have been; a mark.
  struct ClientStatement {
    StatementPtr statement;
    uint64_t told = 0;
  };
  uint64_t NotBefore(const ClientStatement& known) const;
  void EnsurePrepared(const ClientStatement& known);
  void EnsureUnnamed();
  void PrepareOn(const StatementPtr& statement, Exchange::Audience audience, std::string_view name);
  void SendCloseOf(std::string_view name);
  void ForgetUnprepared(const std::vector<Exchange::Undone>& undone);
  void ForgetStatement(std::string_view name);
  void ForgetStatements();
  bool NeedServer();  // false: later, or refused already

  // healing.cc
  void BeginBatch();
  void KeepStep(std::string_view bytes, const pgwire::Frame& frame);
  bool WillBeTold(size_t from) const;
  bool Heal(std::string_view error, const Exchange::Verdict& verdict);
  void Healed();

  // commands.cc
  Handled HandleQuery(std::string_view body, bool complete);
  Handled HandleStep(char type, std::string_view body, bool complete);
  std::optional<pgwire::ErrorFields> PrepareCommand(std::string_view body);
  std::optional<pgwire::ErrorFields> BindPortal(std::string_view body);
  std::optional<pgwire::ErrorFields> Describe(std::string_view body);
  Handled ExecutePortal(std::string_view body);
  Handled EndOwnBatch();
  struct Ran {
    std::vector<std::string> row;
    std::optional<pgwire::ErrorFields> error;
    bool waits = false;
  };
  // `at`: where the session is, and after it where it will be.
  Ran Run(const pgwire::Command& command, const Binding& binding, std::optional<TenantId>& at);
  Ran Move(std::optional<TenantId> target, std::optional<TenantId>& at);
  void MoveTo(const std::optional<TenantId>& tenant);
  void RecordSwitch(const std::optional<TenantId>& to, v1::Reason outcome);
  void ResetAll(bool discard);
  void GoHome(bool discard);
  std::vector<std::string> SessionRow() const;
  std::string PinsText() const;
  // Answers a statement with an error the way PostgreSQL would, and makes the server's transaction, if there is one,
  // fail with it.
  void FailQuery(const pgwire::ErrorFields& error);
  void FailStep(const pgwire::ErrorFields& error);

  // downstream.cc
  size_t Digest(std::string_view data);
  bool PassOn(const pgwire::Frame& frame, std::string_view bytes);
  bool IsOwnNotification(std::string_view bytes, const pgwire::Frame& frame) const;
  void NoteDone(std::string_view tag);
  void NoteUnpinning(std::string_view tag);
  void NoteStatement(std::string_view sql);
  void LogStatements();

  SessionContext& context_;
  InstancePool& pool_;
  const std::atomic<bool>& log_queries_;
  const std::function<void(Session&)> on_gone_;
  std::unique_ptr<ClientTicket> ticket_;
  Transport client_;
  std::string address_;           // of the client, once something of it was recorded
  bool client_readable_ = false;  // the loop tells, once it watches
  bool client_hung_up_ = false;
  Stage stage_ = Stage::kGreeting;
  bool draining_ = false;
  bool reading_ = false;  // somebody is in Consume already

  // Who and where.
  const GrantPtr grant_;
  std::optional<TenantId> tenant_;
  Line* line_ = nullptr;       // nullptr: to be found out
  Line* next_line_ = nullptr;  // of the switch at hand
  Share* counted_in_ = nullptr;
  std::string central_database_;  // of the lease's named connection, once known
  std::unique_ptr<LeaseAuthority::Attachment> attachment_;
  BackendKey key_;
  SettingsPtr baseline_;  // what it logged in with
  SettingsPtr settings_;  // … and has made of it
  SettingsPtr heard_;     // ParameterStatus, as the client last heard
  // idle_session_timeout, which is the session's and no server's; zero: none.
  absl::Duration idle_baseline_;
  absl::Duration idle_timeout_;
  absl::Duration idle_since_;  // of Loop::now(), while there is a timeout: it may be at work since
  std::optional<Loop::TimerId> idle_timer_;
  std::string welcome_;
  bool welcome_pending_ = false;
  absl::flat_hash_map<std::string, absl::StatusOr<Route>> resolved_;  // for the message at hand

  // Towards the server.
  Server* server_ = nullptr;
  std::string inbox_;      // from the client, not yet dealt with
  size_t passing_ = 0;     // bytes of the present message still to be relayed
  size_t discarding_ = 0;  // … still to be dropped
  Exchange exchange_;
  std::string replacement_;                     // a message in place of the one at hand
  std::optional<pgwire::ErrorFields> refusal_;  // why there is no server for the message at hand
  bool skip_to_sync_ = false;   // a step failed here: ignore what follows up to Sync, as PostgreSQL would
  bool batch_is_ours_ = false;  // a step since the last Sync was answered here
  Lost lost_ = Lost::kNo;
  std::unique_ptr<pgwire::ErrorFields> lost_why_;  // kUntold: what its client will be told
  // The server died in a batch of which everything so far was answered: a client that waits for nothing would not hear
  // why, so it is told with what it says next.
  std::optional<pgwire::ErrorFields> lost_batch_;
  bool cancelled_ = false;      // a cancel came while its server was being prepared, or its batch healed
  int preparing_failures_ = 0;  // in a row
  bool batch_open_ = false;     // steps since the last Sync, whoever answers them
  bool keeps_batch_ = false;    // … are all in the server's `batch`
  bool healed_ = false;         // the batch at hand has been sent again

  // What it prepares and leaves behind.
  pgwire::Recognition recognition_;  // of the message that Judge saw last
  pgwire::Effects effects_;          // … and its effects
  VirtualStatements virtuals_;
  absl::flat_hash_map<std::string, ClientStatement> statements_;
  size_t statement_bytes_ = 0;
  std::string unnamed_body_;
  pgwire::Effects unnamed_effects_;
  uint64_t unnamed_ = 0;                                  // mark of the unnamed statement; 0: there is none
  std::map<std::string, std::string> sql_prepared_;       // by SQL's PREPARE: name to text
  std::map<std::string, std::string> sql_prepared_anew_;  // … in the transaction at hand, under a name in use before
  bool forgets_ = false;                                  // a DEALLOCATE is on its way
  // The portal that was last bound to a RESET ALL or DISCARD ALL of PostgreSQL's.
  std::optional<std::string> resetting_portal_;
  bool names_in_doubt_ = false;  // the transaction at hand may have made some, or taken some away
  uint8_t pins_ = 0;
  uint8_t told_pins_ = 0;
  uint8_t sure_pins_ = 0;      // as of the end of the last transaction
  uint8_t doubtful_pins_ = 0;  // their reason may have gone: the server is asked, after the transaction
  uint8_t asked_pins_ = 0;
  bool unknown_ = false;
  bool doubtful_ = false;             // something failed or was rolled back: what it has left may not be there
  std::vector<std::string> changed_;  // settings that the transaction may have changed
  std::vector<std::string> resets_;
  bool changes_told_ = false;  // the client knows them for done, and they are not read back yet
  bool read_back_ = false;
  int reading_back_failures_ = 0;
  Homeward homeward_ = Homeward::kNo;
  bool discarded_ = false;  // … by DISCARD ALL

  // Towards the client.
  std::string outbox_;
  size_t from_server_ = 0;  // bytes of the server's present message still to come
  bool passing_on_ = false;
  // A ParameterDescription, until it is clear that the rest of the answer is none but an error.
  std::string parameters_;
  std::optional<pgwire::ErrorFields> last_words_;  // FATAL of the server

  uint64_t bytes_in_ = 0;  // not yet counted
  uint64_t bytes_out_ = 0;
  absl::Duration query_began_;  // zero: none is under way
  absl::Duration transaction_began_;
  std::string logged_sql_;
  absl::Duration logged_since_;
  uint64_t farewell_ = 0;
};

}  // namespace leasehold::gateway
