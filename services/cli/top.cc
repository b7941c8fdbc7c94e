// leasehold top: what goes on, live, or one frame of it with --once.
#include <unistd.h>

#include <algorithm>
#include <ftxui/component/component.hpp>
#include <ftxui/component/event.hpp>
#include <ftxui/component/screen_interactive.hpp>
#include <ftxui/screen/terminal.hpp>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "services/cli/gateway_client.h"
#include "services/cli/top_figures.h"
#include "services/cli/top_screen.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

// Each look; the gateway itself waits for two seconds for provisioners.
constexpr absl::Duration kPatience = absl::Seconds(5);
constexpr absl::Duration kLeastInterval = absl::Milliseconds(100);

struct TopFlags {
  bool once = false;
  absl::Duration interval = absl::Seconds(2);
  TopSort sort = TopSort::kWaiting;
  std::string filter;
};

absl::StatusOr<TopSample> Look(GatewayClient& client) {
  LH_ASSIGN_OR_RETURN(v1::GetStatusResponse status,
                      client.Call(client.status(), &v1::StatusService::StubInterface::GetStatus, {}, kPatience));
  LH_ASSIGN_OR_RETURN(v1::ListPoolsResponse pools,
                      client.Call(client.pools(), &v1::PoolService::StubInterface::ListPools, {}, kPatience));
  return TopSample{.time = absl::Now(), .status = std::move(status), .pools = std::move(pools)};
}

// Looks again and again, on a thread of its own.
class Watcher {
 public:
  // `first`: of before. `on_change`: on that thread, after each look.
  Watcher(GatewayClient& client, absl::Duration interval, TopSample first, std::function<void()> on_change)
      : client_(client), interval_(interval), on_change_(std::move(on_change)) {
    seen_.figures = FiguresOf(nullptr, first);
    thread_ = std::thread([this, before = std::move(first)]() mutable { Run(std::move(before)); });
  }
  ~Watcher() {
    {
      const absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    thread_.join();
  }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  struct Seen {
    TopFigures figures;
    std::string trouble;  // of the last look; the figures are older then
  };
  Seen seen() const {
    const absl::MutexLock lock(&mu_);
    return seen_;
  }

 private:
  void Run(std::optional<TopSample> before) {
    while (Pause()) {
      absl::StatusOr<TopSample> now = Look(client_);
      {
        const absl::MutexLock lock(&mu_);
        if (now.ok()) {
          seen_ = {.figures = FiguresOf(before ? &*before : nullptr, *now), .trouble = ""};
          before = *std::move(now);
        } else {
          seen_.trouble = std::string(now.status().message());
          before.reset();
        }
      }
      on_change_();
    }
  }

  // False when stopping.
  bool Pause() {
    const absl::MutexLock lock(&mu_);
    return !mu_.AwaitWithTimeout(absl::Condition(&stopping_), interval_);
  }

  GatewayClient& client_;
  const absl::Duration interval_;
  const std::function<void()> on_change_;
  mutable absl::Mutex mu_;
  Seen seen_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses the others
};

// What the keys have set. The terminal's thread.
class Keyboard {
 public:
  explicit Keyboard(const TopFlags& flags) : sort_(flags.sort), filter_(flags.filter) {}

  // False for a key that means nothing; `page`: rows on the screen.
  bool Take(const ftxui::Event& event, size_t page);
  bool done() const { return done_; }
  bool paused() const { return paused_; }
  // The last row that there is does not leave the screen.
  void Apply(TopView& view);

 private:
  bool Edit(const ftxui::Event& event);
  bool Move(const ftxui::Event& event, size_t page);

  TopSort sort_;
  std::string filter_;
  bool editing_ = false;
  bool paused_ = false;
  bool done_ = false;
  size_t first_ = 0;
};

bool Keyboard::Edit(const ftxui::Event& event) {
  if (event == ftxui::Event::Return) {
    editing_ = false;
  } else if (event == ftxui::Event::Escape) {
    editing_ = false;
    filter_.clear();
  } else if (event == ftxui::Event::Backspace) {
    if (!filter_.empty()) filter_.pop_back();
  } else if (event.is_character() && event.character().size() == 1) {  // names are ASCII
    filter_ += event.character();
  } else {
    return false;
  }
  first_ = 0;
  return true;
}

bool Keyboard::Move(const ftxui::Event& event, size_t page) {
  const auto up = [this](size_t rows) { first_ -= std::min(first_, rows); };
  if (event == ftxui::Event::ArrowDown) {
    ++first_;
  } else if (event == ftxui::Event::ArrowUp) {
    up(1);
  } else if (event == ftxui::Event::PageDown || event == ftxui::Event::Character(' ')) {
    first_ += page;
  } else if (event == ftxui::Event::PageUp) {
    up(page);
  } else if (event == ftxui::Event::Home) {
    first_ = 0;
  } else if (event == ftxui::Event::End) {
    first_ = static_cast<size_t>(-1) / 2;
  } else {
    return false;
  }
  return true;
}

bool Keyboard::Take(const ftxui::Event& event, size_t page) {
  if (event == ftxui::Event::Special("\x03")) {  // Ctrl-C
    done_ = true;
    return true;
  }
  if (editing_) return Edit(event);
  if (event == ftxui::Event::Character('q')) {
    done_ = true;
  } else if (event == ftxui::Event::Character('s')) {
    sort_ = static_cast<TopSort>((static_cast<int>(sort_) + 1) % kTopSorts);
    first_ = 0;
  } else if (event == ftxui::Event::Character('/')) {
    editing_ = true;
  } else if (event == ftxui::Event::Character('p')) {
    paused_ = !paused_;
  } else if (event == ftxui::Event::Escape) {
    filter_.clear();
  } else {
    return Move(event, page);
  }
  return true;
}

void Keyboard::Apply(TopView& view) {
  view.sort = sort_;
  view.filter = filter_;
  view.editing = editing_;
  view.paused = paused_;
  const size_t rows = Arranged(view.figures.rows, sort_, filter_).size();
  const size_t fit = TopRowsThatFit(view);
  first_ = std::min(first_, rows > fit ? rows - fit : 0);
  view.first = first_;
}

void Live(GatewayClient& client, const TopFlags& flags, TopSample first) {
  auto screen = ftxui::ScreenInteractive::Fullscreen();
  // FTXUI 5.0 tells the terminal of a cursor that it has not initialised.
  screen.SetCursor({.x = 0, .y = 0, .shape = ftxui::Screen::Cursor::Hidden});
  Keyboard keyboard(flags);
  Watcher::Seen seen;
  size_t page = 1;
  Watcher watcher(client, flags.interval, std::move(first), [&screen] { screen.PostEvent(ftxui::Event::Custom); });
  auto drawn = ftxui::Renderer([&] {
    if (!keyboard.paused()) seen = watcher.seen();
    const ftxui::Dimensions size = ftxui::Terminal::Size();
    TopView view{.figures = seen.figures, .trouble = seen.trouble, .width = size.dimx, .height = size.dimy};
    keyboard.Apply(view);
    page = TopRowsThatFit(view);
    return TopScreen(view);
  });
  auto with_keys = ftxui::CatchEvent(drawn, [&](const ftxui::Event& event) {
    const bool taken = keyboard.Take(event, page);
    if (keyboard.done()) screen.Exit();
    return taken;
  });
  screen.Loop(with_keys);
}

// Of the terminal, or as COLUMNS says; 80.
int WidthOf(const Command& command) {
  if (command.terminal.out) return ftxui::Terminal::Size().dimx;
  int columns = 0;
  const bool said = absl::SimpleAtoi(command.env("COLUMNS").value_or(""), &columns);
  return said && columns >= 40 && columns <= 1'000 ? columns : 80;
}

// Two looks, so that there is something between them.
absl::StatusOr<std::string> Once(GatewayClient& client, const TopFlags& flags, const Command& command) {
  LH_ASSIGN_OR_RETURN(const TopSample before, Look(client));
  absl::SleepFor(flags.interval);
  LH_ASSIGN_OR_RETURN(const TopSample now, Look(client));
  const TopFigures figures = FiguresOf(&before, now);
  return TopFrame({.figures = figures,
                   .sort = flags.sort,
                   .filter = flags.filter,
                   .width = WidthOf(command),
                   .height = 0,
                   .keys = false},
                  command.terminal.out_colours);
}

absl::Status CheckTerminal(const Command& command) {
  const bool keys = isatty(STDIN_FILENO) == 1;
  if (command.terminal.out && keys && command.env("TERM").value_or("dumb") != "dumb") return absl::OkStatus();
  return Error(v1::REASON_INVALID_FIELD, absl::StrCat(command.terminal.out && keys ? "this terminal cannot be drawn on"
                                                      : keys                       ? "stdout is no terminal"
                                                                                   : "stdin is no terminal",
                                                      "; --once prints one frame"));
}

}  // namespace

void AddTop(CLI::App& app, Command& command) {
  auto flags = std::make_shared<TopFlags>();
  CLI::App* verb =
      app.add_subcommand("top", "Show what goes on, live: sessions, waits and queries by tenant and service");
  verb->add_flag("--once", flags->once, "Print one frame, of what happens in one interval, and end");
  AddDuration(*verb, "--interval", flags->interval, "Between two looks, 100ms or more")->default_str("2s");
  verb->add_option_function<std::string>(
          "--sort",
          [flags](const std::string& word) {
            const std::optional<TopSort> sort = TopSortOf(word);
            if (!sort) {
              UsageError(absl::StrCat("--sort is '", Printable(word),
                                      "'; allowed: waiting, sessions, queries, evictions, slowest, tenant"));
            }
            flags->sort = *sort;
          },
          "What comes first; the key s changes it")
      ->type_name("waiting|sessions|queries|evictions|slowest|tenant")
      ->default_str("waiting");
  verb->add_option("--filter", flags->filter,
                   "Only tenants and services with this in their names; the key / changes it");
  verb->callback([flags, &command] {
    if (flags->interval < kLeastInterval) UsageError("--interval is too short; allowed: 100ms or more");
    if (command.json) UsageError("top has no --json; leasehold status and leasehold pools have");
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      if (flags->once) {
        LH_ASSIGN_OR_RETURN(const std::string frame, Once(client, *flags, command));
        std::cout << frame;
        return kDone;
      }
      LH_RETURN_IF_ERROR(CheckTerminal(command));
      // One look before the screen is taken: who has mistyped the gateway is told as everywhere.
      LH_ASSIGN_OR_RETURN(TopSample first, Look(client));
      Live(client, *flags, std::move(first));
      return kDone;
    };
  });
}

}  // namespace leasehold::cli
