// The statements that a gateway answers itself, found in SQL text:
//
//   SET [SESSION] leasehold.tenant {=|TO} {'x'|DEFAULT}     RESET leasehold.tenant
//   SELECT set_config('leasehold.tenant', {'x'|$1}, false)  SHOW leasehold.tenant
//   SELECT set_config($n, {'x'|$1}, false), $n bound so     SHOW leasehold.session
//   SELECT current_setting('leasehold.…' [, bool])          SHOW leasehold.pinned
// and of PostgreSQL's own, where they stand alone: DISCARD ALL, RESET ALL and DEALLOCATE.
//
// Everything else is PostgreSQL's, and nearly everything is told apart without parsing it: see effects.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/pgwire/error_fields.h"

namespace leasehold::gateway::pgwire {

// A literal, NULL (neither set), or a parameter to be bound.
struct Argument {
  int parameter = 0;  // from 1; 0: not a parameter
  std::optional<std::string> text;
};

// kEndLost, which no text shows: COMMIT or ROLLBACK, by its tag, of a transaction whose server has died.
struct Command {
  enum class Kind {
    kSwitch,
    kReset,
    kResetAll,
    kDiscardAll,
    kDeallocate,
    kShowTenant,
    kShowSession,
    kShowPinned,
    kEndLost
  };
  Kind kind = Kind::kShowTenant;
  std::string tag;  // of CommandComplete
  // Name of the one result column; empty for SET and RESET, and for SHOW leasehold.session, which has several.
  std::string column;
  Argument tenant;    // kSwitch; empty or NULL means the same as kReset
  Argument is_local;  // set_config's third argument; others: absent
  std::vector<uint32_t> parameter_types;
  std::string name = "";  // kDeallocate: the statement; empty: all

  bool HasRows() const { return kind == Kind::kShowSession || !column.empty(); }
  // The session may be elsewhere afterwards.
  bool Moves() const {
    return kind == Kind::kSwitch || kind == Kind::kReset || kind == Kind::kResetAll || kind == Kind::kDiscardAll;
  }
};

struct Recognition {
  // The statements before the first that is PostgreSQL's.
  std::vector<Command> commands;
  // Where the statements begin that are PostgreSQL's; npos: there are none.
  size_t rest = std::string_view::npos;
  // RESET ALL or DISCARD ALL is among them, which are PostgreSQL's and end a switch as well.
  bool resets_all = false;
  // The only statement, which is PostgreSQL's (RESET ALL, DISCARD ALL, DEALLOCATE), as a command.
  std::optional<Command> alone;
  // None of it may run.
  std::optional<ErrorFields> refusal;
};

// False: no word in `sql` is of the gateway's. A scan that looks at about every ninth byte.
bool MentionsGateway(std::string_view sql);

// The same, and DISCARD, RESET and DEALLOCATE, for a single statement.
bool MayConcernGateway(std::string_view sql);

// `whole` false: a beginning, which may end in the middle of a literal or a comment.
Recognition Recognize(std::string_view sql, bool whole = true);

// leasehold.…, in any case.
bool IsGatewaySetting(std::string_view name);

// A statement with set_config($n, …), of which $n is bound to `name`, a setting of the gateway's: the command that it
// is then, or the refusal.
Recognition RecognizeBound(std::string_view sql, std::string_view name);

// PostgreSQL's spellings of a boolean: unambiguous prefixes of true, false, yes, no; on, off, 1, 0.
std::optional<bool> ParseBool(std::string_view text);

}  // namespace leasehold::gateway::pgwire
