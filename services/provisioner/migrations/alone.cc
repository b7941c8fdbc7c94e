#include "services/provisioner/migrations/alone.h"

#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "services/provisioner/migrations/attempt.h"
#include "services/provisioner/migrations/concurrent.h"

namespace leasehold::provisioner {
namespace {

using Kind = AloneStatement::Kind;

class AloneFile {
 public:
  AloneFile(postgres::Connection& owner, const Secret& secret, const Migration& file, const MigrateOptions& options,
            MigrateResult& result)
      : owner_(owner), secret_(secret), file_(file), options_(options), result_(result) {}

  absl::Status Run(const HistoryRow& row) {
    done_ = row.done;
    if (row.begun > 0) LH_RETURN_IF_ERROR(Settle());
    if (file_.statements.empty()) return Note(0);
    while (static_cast<size_t>(done_) < file_.statements.size()) {
      LH_RETURN_IF_ERROR(WithRetries(options_, result_, [this] { return RunNext(); }));
    }
    return absl::OkStatus();
  }

 private:
  const SqlStatement& next() const { return file_.statements[static_cast<size_t>(done_)]; }

  absl::Status Note(int begun) {
    const absl::Status noted = owner_.InTransaction(
        [&](postgres::Transaction& tx) { return HistoryWriter(tx, secret_).Noted(file_, options_.run, done_, begun); });
    if (noted.ok() || ReasonOf(noted) == v1::REASON_INSUFFICIENT_PRIVILEGE) return noted;
    return NotRecorded(file_.name, std::span(file_.statements).first(static_cast<size_t>(done_)), noted, result_);
  }

  absl::Status NoteDone() {
    ++done_;
    return Note(0);
  }

  // The next statement was begun by a run that then ended.
  absl::Status Settle() {
    const AloneStatement statement = ReadAloneStatement(next().text);
    if (statement.kind == Kind::kReindex) return CleanUpAfter(owner_, statement);
    if (statement.kind != Kind::kCreateIndex && statement.kind != Kind::kDropIndex) return absl::OkStatus();
    LH_ASSIGN_OR_RETURN(const IndexState state, StateOf(owner_, statement));
    const IndexState end = statement.kind == Kind::kCreateIndex ? IndexState::kValid : IndexState::kAbsent;
    return state == end ? NoteDone() : CleanUpAfter(owner_, statement);
  }

  absl::Status RunNext() {
    const AloneStatement statement = ReadAloneStatement(next().text);
    bool is_new = true;  // what it makes is not there yet; else it fails, or is content, and leaves nothing behind
    if (statement.kind == Kind::kCreateIndex) {
      LH_RETURN_IF_ERROR(Explained(CleanUpAfter(owner_, statement)));
      LH_ASSIGN_OR_RETURN(const IndexState state, StateOf(owner_, statement));
      is_new = state == IndexState::kAbsent;
    }
    if (is_new) LH_RETURN_IF_ERROR(Note(done_ + 1));
    LH_FAILPOINT("before a statement of its own");
    const absl::Status status = owner_.ExecAlone(next().text).status();
    LH_FAILPOINT("after a statement of its own");
    if (status.ok()) return NoteDone();
    const absl::Status failed = Explained(status);
    if (postgres::IsConnectionFailure(failed)) return failed;
    if (is_new) {
      // Its failure to be dropped now is not what went wrong; the next run tries again.
      (void)CleanUpAfter(owner_, statement);
      LH_RETURN_IF_ERROR(Note(0));
    }
    return failed;
  }

  absl::Status Explained(const absl::Status& status) {
    if (status.ok()) return status;
    return FailedAt(file_.name, file_.statements, static_cast<size_t>(done_), status, result_);
  }

  postgres::Connection& owner_;
  const Secret& secret_;
  const Migration& file_;
  const MigrateOptions& options_;
  MigrateResult& result_;
  int done_ = 0;
};

}  // namespace

absl::Status RunAlone(postgres::Connection& owner, const Secret& secret, const Migration& file, const HistoryRow& row,
                      const MigrateOptions& options, MigrateResult& result) {
  LH_RETURN_IF_ERROR(owner.ExecTogether(SettingsFor(options, "SET")).status);
  const absl::Status status = AloneFile(owner, secret, file, options, result).Run(row);
  if (postgres::IsConnectionFailure(status)) return status;
  LH_RETURN_IF_ERROR(owner
                         .ExecAlone("RESET search_path; RESET lock_timeout; RESET statement_timeout; "
                                    "RESET idle_in_transaction_session_timeout; RESET transaction_timeout")
                         .status());
  return status;
}

}  // namespace leasehold::provisioner
