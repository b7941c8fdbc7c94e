// From accept to the proof of identity; what comes after is a Session.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/scram/scram.h"
#include "services/gateway/lease/authority.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pgwire/startup.h"
#include "services/gateway/pool/loop.h"
#include "services/gateway/pool/read_buffer.h"
#include "services/gateway/pool/task.h"
#include "services/gateway/pool/wire.h"
#include "services/gateway/session/context.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {

// On one loop at a time.
class Login final {
 public:
  // Whose loop a log-in is on.
  class Host {
   public:
    virtual Loop& loop() = 0;
    // What comes next takes long: to be given to a host whose loop relays nothing, by Continue(). Until then it waits.
    virtual void TakeToDesk(Login& login) = 0;
    // nullopt: refused, and told so; or it was no client but a request to cancel, which has been dealt with. Destroys
    // the log-in.
    virtual void Done(Login& login, std::optional<Admission> admission) = 0;

   protected:
    ~Host() = default;
  };

  // `context` outlives it.
  Login(Transport client, std::unique_ptr<ClientTicket> ticket, SessionContext& context);
  ~Login();
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;

  // Once.
  void Begin(Host& host);
  // Once, after the host's TakeToDesk.
  void Continue(Host& desk);
  // The gateway stops: whoever has said what it wants is told so, and the others once they have, if they are quick.
  void Drain();

 private:
  // An error without code: the client has gone, or should go without a word.
  using Outcome = std::expected<void, pgwire::ErrorFields>;

  Task<void> Run();
  Task<void> Dismiss();
  void Finish(std::optional<Admission> admission);
  Task<std::optional<Admission>> Serve();
  Task<Outcome> Admit();
  Task<std::expected<pgwire::StartupMessage, pgwire::ErrorFields>> ReadStartup();
  Task<Outcome> AnswerSslRequest();
  Task<Outcome> DetectDirectTls();
  Task<Outcome> BeginTls();
  Task<void> ForwardCancel(pgwire::CancelRequest request);
  Task<scram::Verifier> VerifierOf(const absl::StatusOr<GrantPtr>& grant);
  Task<Outcome> Authenticate();
  Task<std::expected<std::string, pgwire::ErrorFields>> ReadPassword();
  Outcome TakeSettings(pgwire::StartupMessage& startup);
  Task<Outcome> ChooseStart(std::string database);
  Task<absl::StatusOr<Route>> Resolve(std::optional<TenantId> tenant);
  Task<void> Refuse(pgwire::ErrorFields why);
  std::unexpected<pgwire::ErrorFields> Because(const absl::Status& why);
  // Of log-ins only those that were refused are recorded, and those that begin at another tenant than their lease does.
  void Record(v1::AuditAction action, v1::Reason outcome, std::string_view detail);
  Task<bool> ReadMore();
  Task<bool> Flush();
  Task<void> GoToDesk();

  // On `host_`'s loop.
  void LimitTo(absl::Duration duration);
  void OnTime();

  SessionContext& context_;
  std::unique_ptr<ClientTicket> ticket_;
  Host* host_ = nullptr;
  bool at_desk_ = false;
  bool moving_ = false;      // … on its way there
  bool named_ = false;       // it has sent its StartupMessage
  bool settled_ = false;     // admitted, or being told that it is not
  absl::Duration accepted_;  // of Loop::now()
  std::optional<Loop::TimerId> timer_;
  Signal word_;  // of another thread
  bool awaits_word_ = false;
  Wire client_;
  ReadBuffer inbox_;
  std::string answers_;
  std::string user_;
  // Of the refusal, for the audit: what is not of our making is a violation of the protocol.
  v1::Reason why_ = v1::REASON_INVALID_FIELD;
  GrantPtr grant_;
  std::optional<TenantId> tenant_;
  std::optional<Route> route_;
  SettingMap settings_;
  absl::Duration idle_timeout_;
  uint64_t bytes_in_ = 0;
  std::optional<Task<void>> run_;  // goes first: it uses all of the above
};

}  // namespace leasehold::gateway
