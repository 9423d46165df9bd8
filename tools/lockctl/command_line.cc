#include "tools/lockctl/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/text.h"

namespace lockd::lockctl {
namespace {

constexpr size_t kNameBytesMax = 1'024;
constexpr size_t kOwnerBytesMax = 256;
constexpr int64_t kDayMs = 24 * 3'600'000;
constexpr int64_t kYearMs = 365 * kDayMs;

constexpr char kAbout[] =
    "lockctl: looks at a lockd cluster, and runs commands under its locks.\n\n"
    "  lockctl lock NAME -- CMD...   run CMD while this lock is held\n"
    "  lockctl get NAME              one lock\n"
    "  lockctl list [PREFIX]         held locks\n"
    "  lockctl sessions              sessions, and what they hold\n"
    "  lockctl status                nodes\n\n"
    "Each explains itself: lockctl lock --help";
constexpr char kStatuses[] =
    "Exit status: 0 ok, 1 not found, 2 usage, 3 cluster unavailable, 4 refused by the server.\n"
    "`lock` has its own: see lockctl lock --help.\n"
    "Names: printable ASCII as it is, other bytes and the backslash as \\xNN, here and in output.\n"
    "Durations: 500ms, 10s, 5m, 1h.";
constexpr char kLockAbout[] =
    "Acquires the lock, runs the command, releases the lock when it ends.\n\n"
    "  lockctl lock nightly-report -- ./report.sh\n"
    "  lockctl lock nightly-report --try -- ./report.sh       leave at once if another has it\n"
    "  lockctl lock nightly-report --wait 5m -- ./report.sh   wait for it at most so long\n\n"
    "The command runs in a process group of its own, with LOCKD_LOCK, LOCKD_TOKEN (the fencing "
    "token) and\nLOCKD_SESSION in its environment. What the command changes should check the "
    "token: "
    "it refuses a token\nthat is lower than one it has seen. TERM, INT, HUP and QUIT are passed on "
    "to the command.\n\n"
    "When the cluster does not answer, the command is stopped before anybody else can get the "
    "lock: of the\ntime between the last answer and the deadline, TERM comes after 1/2 and KILL "
    "after 3/4. Should lockctl\nitself die, the kernel kills the command, but not what has left "
    "its "
    "process group; and a stopped lockctl\n(SIGSTOP) stops nobody. The token covers these.";
constexpr char kLockStatuses[] =
    "Exit status: that of the command; 128+N when signal N killed it, or ended lockctl while it "
    "waited;\n122 lock lost, or in danger so that the command was stopped; 123 lockctl or the "
    "cluster failed;\n124 not acquired (--try, --wait); 126 the command cannot be run; 127 it was "
    "not found; 2 usage.";

// Flags that every command takes; they may also stand before the command.
struct CommonFlags {
  std::string endpoints;
  bool json = false;
  bool stale = false;
  int64_t timeout_ms = 5'000;

  void AddTo(CLI::App& app, const std::string& json_help) {
    cli::AddEndpoints(app, &endpoints);
    app.add_flag("--json", json, json_help);
    cli::AddDuration(app, "--timeout", &timeout_ms, {1, kDayMs},
                     "how long to look for a node that answers; default 5s");
  }
  void AddStaleTo(CLI::App& app) {
    app.add_flag("--stale", stale,
                 "what the asked node knows, whatever its role, with the entry and the age that it "
                 "is from; without\nit: the newest, on the leader's word");
  }
};

// A lock's name as it is typed. Returns what is wrong with it.
std::string TakeName(const std::string& text, size_t bytes_min, std::string* name) {
  absl::StatusOr<std::string> parsed = UnescapeName(text);
  if (!parsed.ok()) return std::string(parsed.status().message());
  if (parsed->size() < bytes_min || parsed->size() > kNameBytesMax) {
    return absl::StrCat("is ", parsed->size(), " bytes long; allowed: ", bytes_min, "..",
                        kNameBytesMax);
  }
  *name = *std::move(parsed);
  return "";
}

CLI::App& AddLock(CLI::App& app, CommonFlags& common, LockArguments& lock, bool& is_try,
                  std::vector<std::string>& names) {
  CLI::App& sub = *app.add_subcommand("lock", kLockAbout);
  sub.footer(kLockStatuses);
  // More than one is refused after parsing, with the reason.
  sub.add_option("NAME", names, "the lock")->required();
  CLI::Option* wait = cli::AddDuration(
      sub, "--wait", &lock.wait_ms.emplace(0), {1, kYearMs, true},
      "give up when it has not been acquired after this time; without it: wait without limit");
  sub.add_flag("--try", is_try, "do not wait at all")->excludes(wait);
  cli::AddDuration(sub, "--ttl", &lock.ttl_ms, {1'000, 3'600'000},
                   "the lock is free for others this long after this machine has gone silent; "
                   "default 10s");
  cli::AddDuration(sub, "--grace", &lock.grace_ms, {3'000, 3'600'000, true},
                   "the lock is free for others this long after lockctl has died; 0s: only after "
                   "the TTL; default 3s");
  cli::AddDuration(sub, "--max-hold", &lock.max_hold_ms, {1, kYearMs, true},
                   "the lock is taken from the command after this time; default 0s: never");
  cli::AddDuration(sub, "--kill-after", &lock.kill_after_ms.emplace(0), {1, kDayMs},
                   "KILL this long after any TERM that lockctl sends; without it only a lock in "
                   "danger leads to KILL");
  cli::AddText(sub, "--owner", "TEXT",
               absl::StrCat("who holds the lock, for people, at most ", kOwnerBytesMax,
                            " bytes; default: host name and process"),
               [&lock](const std::string& text) -> std::string {
                 if (text.size() > kOwnerBytesMax) {
                   return absl::StrCat("is ", text.size(), " bytes long; allowed: 0..",
                                       kOwnerBytesMax);
                 }
                 lock.owner = text;
                 return "";
               });
  common.AddTo(sub, "say which lock was granted as one line of JSON on stderr");
  return sub;
}

// What shows only when all options are known: nothing, or the mistake.
std::string CompleteLock(const CLI::App& sub, bool is_try, const std::vector<std::string>& names,
                         LockArguments& lock) {
  if (names.size() > 1) {
    return absl::StrCat(
        "one lock at a time, but ", names.size(),
        " were given: acquiring them one after the other could leave some held while waiting for "
        "the rest; use one name that stands for all, or a lockctl within a lockctl");
  }
  const std::string wrong = TakeName(names.front(), 1, &lock.name);
  if (!wrong.empty()) return absl::StrCat("NAME: ", wrong);
  if (lock.command.empty()) return "no command: write it after --, as in lock NAME -- CMD...";
  if (is_try) {
    lock.wait_ms = 0;
  } else if (sub.get_option("--wait")->empty()) {
    lock.wait_ms.reset();
  }
  if (sub.get_option("--kill-after")->empty()) lock.kill_after_ms.reset();
  return "";
}

}  // namespace

ParsedCommandLine ParseCommandLine(int argc, const char* const* argv) {
  // What follows the first -- is the command's, untouched.
  const char* const* const end = argv + argc;
  const char* const* const separator =
      std::find_if(argv, end, [](const char* word) { return std::string(word) == "--"; });
  const int own_argc = static_cast<int>(separator - argv);

  CommonFlags common;
  LockArguments lock;
  GetArguments get;
  ListArguments list;
  bool is_try = false;
  std::vector<std::string> names;

  CLI::App app(kAbout, "lockctl");
  app.footer(kStatuses);
  app.require_subcommand(0, 1);  // none is asked about below, so that a word that is none is named
  const std::string json_help = "JSON instead of text; 64-bit ids and tokens are strings";
  common.AddTo(app, json_help);
  CLI::App& lock_sub = AddLock(app, common, lock, is_try, names);
  CLI::App& get_sub = *app.add_subcommand(
      "get",
      "Shows one lock: free or held, by whom, since when, with which token, and how many wait.");
  cli::AddText(get_sub, "NAME", "TEXT", "the lock; one that was never used is free",
               [&get](const std::string& text) { return TakeName(text, 1, &get.name); })
      ->required();
  CLI::App& list_sub = *app.add_subcommand("list", "Lists the held locks, in order of name.");
  cli::AddText(list_sub, "PREFIX", "TEXT", "only names that begin with this",
               [&list](const std::string& text) { return TakeName(text, 0, &list.prefix); });
  CLI::App& sessions_sub = *app.add_subcommand(
      "sessions", "Lists the sessions: one for each client process, with all that it holds.");
  CLI::App& status_sub = *app.add_subcommand(
      "status",
      "Asks each endpoint, and each other node of the cluster, how it is. Nodes that do not answer "
      "are\nlisted with the reason; the exit status is 3 only when none does.");
  for (CLI::App* sub : {&get_sub, &list_sub, &sessions_sub, &status_sub}) {
    common.AddTo(*sub, json_help);
    sub->footer(kStatuses);
  }
  for (CLI::App* sub : {&get_sub, &list_sub, &sessions_sub}) common.AddStaleTo(*sub);

  std::optional<cli::Ending> ending = cli::Parse(app, own_argc, argv, "lockctl " LOCKD_VERSION);
  if (ending.has_value()) return *std::move(ending);

  if (app.get_subcommands().empty()) {
    return cli::Mistake(app, "a subcommand is required: lock, get, list, sessions or status");
  }

  Arguments arguments;
  arguments.json = common.json;
  arguments.stale = common.stale;
  arguments.timeout_ms = common.timeout_ms;
  absl::StatusOr<std::vector<std::string>> endpoints = cli::EndpointsOr(common.endpoints);
  if (!endpoints.ok()) return cli::Mistake(app, std::string(endpoints.status().message()));
  arguments.endpoints = *std::move(endpoints);

  if (!lock_sub.parsed() && separator != end) {
    return cli::Mistake(app, "only lock takes a command after --");
  }
  if (lock_sub.parsed()) {
    if (separator != end) lock.command.assign(separator + 1, end);
    const std::string wrong = CompleteLock(lock_sub, is_try, names, lock);
    if (!wrong.empty()) return cli::Mistake(app, wrong);
    arguments.command = std::move(lock);
  } else if (get_sub.parsed()) {
    arguments.command = std::move(get);
  } else if (list_sub.parsed()) {
    arguments.command = std::move(list);
  } else if (sessions_sub.parsed()) {
    arguments.command = SessionsArguments{};
  } else {
    arguments.command = StatusArguments{};
  }
  return arguments;
}

}  // namespace lockd::lockctl
