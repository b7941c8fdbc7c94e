// What SQL text leaves behind in the session that runs it, as far as the text shows: what a pooling gateway has to
// carry along, to hold on to, or to clean up.
//
// It errs on one side. What it cannot tell (a function that it does not know, a DO block) counts as `unknown`, and the
// server is cleaned after it. What no text shows (a trigger that calls set_config) stays in its server: that is one
// tenant's database and one role, and never another tenant's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace leasehold::gateway::pgwire {

// What only the server that made it has.
enum Pin : uint8_t {
  kPinListen = 1,        // LISTEN
  kPinTemporary = 2,     // temporary tables
  kPinCursor = 4,        // DECLARE … WITH HOLD
  kPinAdvisoryLock = 8,  // pg_advisory_lock and its like
  kPinPrepare = 16,      // SQL's PREPARE
};

// What a statement does to a transaction block.
enum class Block : uint8_t { kNone, kBegins, kCommits, kRollsBack };

struct Effects {
  // Recognize() has to read it: a statement of leasehold settings, DISCARD, RESET ALL or DEALLOCATE may be in it.
  bool concerns_gateway = false;
  bool unknown = false;
  bool resets_all = false;  // RESET ALL, DISCARD ALL
  // It may make something where the search_path says. No effect by itself.
  bool creates = false;
  uint8_t pins = 0;
  // Pins whose reason it may take away (pg_advisory_unlock …, DEALLOCATE), or may not give though it is among `pins`:
  // the server is asked. DROP and the like are told by their command tags.
  uint8_t unpins = 0;
  std::vector<std::string> sets;  // parameters whose session value it may change
  std::vector<std::string> resets;
  // Bit n: it may change the session value of the parameter that is bound to $n (1 to 31): set_config($n, …).
  uint32_t bound_sets = 0;
  // Of the first statement, and of the last that does anything to one.
  Block first_block = Block::kNone;
  Block last_block = Block::kNone;
  // PREPARE: the name of what it makes, and its own text.
  std::vector<std::pair<std::string, std::string>> prepares;

  // Of a text that was not read to its end.
  void AddAnything() {
    unknown = true;
    pins = unpins = kPinListen | kPinTemporary | kPinCursor | kPinAdvisoryLock | kPinPrepare;
    prepares.clear();
  }

  bool none() const {
    return !concerns_gateway && !unknown && !resets_all && pins == 0 && unpins == 0 && bound_sets == 0 &&
           sets.empty() && resets.empty();
  }
};

Effects EffectsOf(std::string_view sql);

// The session value of the parameter `name`, as a statement or a Bind spells it, may change.
void NoteSet(Effects& effects, std::string name);

}  // namespace leasehold::gateway::pgwire
