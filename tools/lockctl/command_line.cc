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
    "  lockctl status                nodes\n"
    "  lockctl transfer-leadership   another node leads\n"
    "  lockctl member add|remove|promote|list   who belongs to the cluster\n"
    "  lockctl snapshot save FILE    a backup of the whole state\n\n"
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

constexpr char kMemberAbout[] =
    "Shows and changes who belongs to the cluster, one change at a time, while it works.\n\n"
    "  lockctl member list                    who is a member, and in which role\n"
    "  lockctl member add --peer HOST:PORT    a new node; prints the line that starts it\n"
    "  lockctl member remove NODE             for good: node ids are never used twice\n"
    "  lockctl member promote NODE            a learner becomes a voter at once\n\n"
    "A member that was added is a learner: it is given the log, and has no vote. It becomes a "
    "voter "
    "by itself once\nit is up and has the log. A voter that is removed hands leadership over "
    "first, "
    "if it leads; its lockd ends\nwith status 17. To replace a node: add the new one, wait until "
    "the list shows it as a voter, remove the old\none. A node that has lost its directory cannot "
    "come back under its id: remove it, add its address again,\nand start it under the new id. "
    "Tell programs the new endpoints before the last old one is gone.";
constexpr char kMemberStatuses[] =
    "Exit status: 0 done, or so already; 1 no such member; 2 usage; 3 cluster unavailable, and "
    "whether it was done\nis not known: look at the list, or ask for the same again; 4 refused, "
    "stderr says why and what to do.";

constexpr char kSnapshotAbout[] =
    "Takes snapshots of the cluster's state: all locks, sessions and members after one entry of "
    "the log.\n\n"
    "  lockctl snapshot save FILE   one node takes one now; it is copied into FILE, read back and "
    "verified\n"
    "  lockctl snapshot take        one node takes one now, and keeps it\n\n"
    "The endpoints are asked in turn until one has done it. Any node will do: the leader only says "
    "which entry is the\nlast that must be in it, so that all that was done before is. So give "
    "--endpoints one follower, to leave the\nleader alone. FILE holds the secrets of all sessions, "
    "so nobody but its owner may read it. It is a snapshot\nfile as lockd has them: wal_dump FILE "
    "--verify looks at it, lockd restore FILE makes a new cluster of it.";
constexpr char kSnapshotStatuses[] =
    "Exit status: 0 done and verified; 2 usage, or FILE cannot be: it exists; 3 no node can be "
    "reached, none\nleads, or all are behind; 4 a node refused, or FILE could not be written. "
    "Unless it is 0 nothing is left\nbehind, and an old FILE is as it was.";

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

// An address under which other nodes are to reach a new one. Returns what is wrong with it.
std::string TakePeerAddress(const std::string& text, std::string* address) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort(text);
  if (!parsed.ok()) return std::string(parsed.status().message());
  if (!parsed->is_dialable()) {
    return absl::StrCat(EscapeName(text),
                        " cannot be dialled; give the address under which the other nodes reach "
                        "the new one");
  }
  *address = parsed->ToString();
  return "";
}

// `member`, with commands of its own.
struct MemberCommands {
  CLI::App* all;
  CLI::App* add;
  CLI::App* remove;
  CLI::App* promote;
  CLI::App* list;
};

MemberCommands AddMember(CLI::App& app, CommonFlags& common, const std::string& json_help,
                         uint64_t* node_id, std::string* peer_address) {
  constexpr uint64_t kIdMax = 1'000'000;
  CLI::App& all = *app.add_subcommand("member", kMemberAbout);
  all.require_subcommand(0, 1);
  CLI::App& add = *all.add_subcommand(
      "add",
      "Makes a node a member that is not running yet, and prints the line that starts it. Asked "
      "for again with the\nsame address it finds that member, and prints the line again.");
  cli::AddText(
      add, "--peer", "HOST:PORT", "where the other nodes will reach it (its peer port)",
      [peer_address](const std::string& text) { return TakePeerAddress(text, peer_address); })
      ->required();
  cli::AddCount(add, "--node-id", node_id, 1, kIdMax,
                "its number, one that was never used; default: the next free one");
  CLI::App& remove = *all.add_subcommand(
      "remove", "Ends the membership of a node for good. Its lockd leaves by itself.");
  CLI::App& promote = *all.add_subcommand(
      "promote", "Makes a learner a voter now, instead of when it has caught up.");
  for (CLI::App* sub : {&remove, &promote}) {
    cli::AddCount(*sub, "NODE", node_id, 1, kIdMax, "the member's number")->required();
  }
  CLI::App& list =
      *all.add_subcommand("list", "Lists the members, as the leader knows them if it answers.");
  for (CLI::App* sub : {&all, &add, &remove, &promote, &list}) {
    common.AddTo(*sub, json_help);
    sub->footer(kMemberStatuses);
  }
  return {&all, &add, &remove, &promote, &list};
}

MemberChange ChangeOf(const MemberCommands& commands, uint64_t node_id, std::string peer_address) {
  const MemberAction action = commands.add->parsed()      ? MemberAction::kAdd
                              : commands.remove->parsed() ? MemberAction::kRemove
                                                          : MemberAction::kPromote;
  return {.action = action, .node_id = NodeId(node_id), .peer_address = std::move(peer_address)};
}

// `snapshot`, with commands of its own.
struct SnapshotCommands {
  CLI::App* all;
  CLI::App* take;
  CLI::App* save;
};

SnapshotCommands AddSnapshot(CLI::App& app, CommonFlags& common, const std::string& json_help,
                             SnapshotSaveArguments* save_arguments) {
  CLI::App& all = *app.add_subcommand("snapshot", kSnapshotAbout);
  all.require_subcommand(0, 1);
  CLI::App& take = *all.add_subcommand(
      "take",
      "Has a node take a snapshot now, and shows which one it is when it is safe on the node's "
      "disk.");
  CLI::App& save = *all.add_subcommand(
      "save",
      "Has a node take a snapshot now, copies it into FILE, reads that back and verifies it.");
  cli::AddText(save, "FILE", "FILE", "where to write it; a file of that name is not overwritten",
               [save_arguments](const std::string& text) -> std::string {
                 if (text.empty()) return "is empty; give the name of a file";
                 save_arguments->file = text;
                 return "";
               })
      ->required();
  save.add_flag_callback(
      "--force", [save_arguments] { save_arguments->existing = BackupFile::Existing::kReplaced; },
      "replace FILE, once the new one is verified");
  for (CLI::App* sub : {&all, &take, &save}) {
    common.AddTo(*sub, json_help);
    sub->add_flag("--stale", common.stale,
                  "of what the node has applied, without the leader's word: where none leads any "
                  "more; what was done last may\nnot be in it");
    sub->footer(kSnapshotStatuses);
  }
  return {&all, &take, &save};
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
  TransferArguments transfer;
  SnapshotSaveArguments save;
  uint64_t member_id = 0;
  std::string member_address;
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
  CLI::App& transfer_sub = *app.add_subcommand(
      "transfer-leadership",
      "Moves the leadership to another node, without a failed request. The exit status is 0 when "
      "it "
      "leads, 1 when\nthe cluster has no such node, 4 when it did not take over; then the old one "
      "leads on, unless it says otherwise.");
  cli::AddCount(transfer_sub, "--to", &transfer.to_node_id, 1, UINT64_MAX >> 1,
                "the node that is to lead; default: the one that has most of the log");
  const MemberCommands member = AddMember(app, common, json_help, &member_id, &member_address);
  const SnapshotCommands snapshot = AddSnapshot(app, common, json_help, &save);
  for (CLI::App* sub : {&get_sub, &list_sub, &sessions_sub, &status_sub, &transfer_sub}) {
    common.AddTo(*sub, json_help);
    sub->footer(kStatuses);
  }
  for (CLI::App* sub : {&get_sub, &list_sub, &sessions_sub}) common.AddStaleTo(*sub);

  std::optional<cli::Ending> ending = cli::Parse(app, own_argc, argv, "lockctl " LOCKD_VERSION);
  if (ending.has_value()) return *std::move(ending);

  if (app.get_subcommands().empty()) {
    return cli::Mistake(app,
                        "a subcommand is required: lock, get, list, sessions, status, "
                        "transfer-leadership, member or snapshot");
  }
  if (member.all->parsed() && member.all->get_subcommands().empty()) {
    return cli::Mistake(app, "member: a subcommand is required: add, remove, promote or list");
  }

  if (snapshot.all->parsed() && snapshot.all->get_subcommands().empty()) {
    return cli::Mistake(app, "snapshot: a subcommand is required: save or take");
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
  } else if (transfer_sub.parsed()) {
    arguments.command = transfer;
  } else if (member.list->parsed()) {
    arguments.command = MembersArguments{};
  } else if (member.all->parsed()) {
    arguments.command = MemberArguments{ChangeOf(member, member_id, std::move(member_address))};
  } else if (snapshot.save->parsed()) {
    arguments.command = std::move(save);
  } else if (snapshot.take->parsed()) {
    arguments.command = SnapshotTakeArguments{};
  } else {
    arguments.command = StatusArguments{};
  }
  return arguments;
}

}  // namespace lockd::lockctl
