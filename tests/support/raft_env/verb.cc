#include "tests/support/raft_env/verb.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace lockd::raft_env {
namespace {

// The members that this word names; empty after a mistake.
std::vector<NodeId> Named(RaftEnv& env, datadriven::Arguments& args, const std::string& word) {
  const std::optional<std::vector<NodeId>> ids = ParseIds(word);
  if (!ids) {
    args.Fail(absl::StrCat("`", word, "` is not a member or a list of members"));
    return {};
  }
  for (const NodeId id : *ids) {
    if (!env.Exists(id)) args.Fail(absl::StrCat("there is no node ", id));
  }
  return args.ok() ? *ids : std::vector<NodeId>{};
}

void RequireRunning(RaftEnv& env, datadriven::Arguments& args, NodeId id) {
  if (!env.member(id).up()) args.Fail(absl::StrCat("node ", id, " is down"));
}

}  // namespace

std::optional<std::vector<NodeId>> ParseIds(absl::string_view text) {
  std::vector<NodeId> ids;
  for (const std::string& part : datadriven::SplitList(text)) {
    const auto range = datadriven::ParseRange(part);
    if (!range || range->first == 0 || range->second > 1000) return std::nullopt;
    for (uint64_t id = range->first; id <= range->second; ++id) ids.push_back(NodeId(id));
  }
  if (ids.empty()) return std::nullopt;
  return ids;
}

std::vector<Link> ParseLinks(absl::string_view text) {
  const size_t dash = text.find('-');
  if (dash == absl::string_view::npos) return {};
  const bool one_way = text.substr(dash, 2) == "->";
  const auto a = datadriven::ParseNumber(text.substr(0, dash));
  const auto b = datadriven::ParseNumber(text.substr(dash + (one_way ? 2 : 1)));
  if (!a || !b) return {};
  std::vector<Link> links = {{NodeId(*a), NodeId(*b)}};
  if (!one_way) links.push_back({NodeId(*b), NodeId(*a)});
  return links;
}

std::optional<Position> ParsePosition(absl::string_view text) {
  const std::vector<std::string> parts = datadriven::SplitList(text);
  if (parts.size() != 2) return std::nullopt;
  const auto term = datadriven::ParseNumber(parts[0]);
  const auto index = datadriven::ParseNumber(parts[1]);
  if (!term || !index) return std::nullopt;
  return Position{raft::Term(*term), raft::Index(*index)};
}

NodeId TakeMember(RaftEnv& env, datadriven::Arguments& args) {
  const std::vector<NodeId> ids = Named(env, args, args.Positional("ID"));
  if (ids.size() > 1) args.Fail("one member, not several");
  return ids.size() == 1 ? ids[0] : NodeId(0);
}

NodeId TakeRunningMember(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeMember(env, args);
  if (!id.is_zero()) RequireRunning(env, args, id);
  return id;
}

std::vector<NodeId> TakeMembers(RaftEnv& env, datadriven::Arguments& args) {
  const std::vector<std::string> words = args.RestPositional();
  if (words.empty()) return env.ids();
  std::vector<NodeId> ids;
  for (const std::string& word : words) {
    const std::vector<NodeId> some = Named(env, args, word);
    ids.insert(ids.end(), some.begin(), some.end());
  }
  return ids;
}

std::vector<NodeId> TakeRunningMembers(RaftEnv& env, datadriven::Arguments& args) {
  const std::vector<std::string> words = args.RestPositional();
  std::vector<NodeId> ids;
  if (words.empty()) {
    for (const NodeId id : env.ids()) {
      if (env.member(id).up()) ids.push_back(id);
    }
    return ids;
  }
  for (const std::string& word : words) {
    for (const NodeId id : Named(env, args, word)) {
      RequireRunning(env, args, id);
      ids.push_back(id);
    }
  }
  return ids;
}

std::vector<Link> TakeLinks(RaftEnv& env, datadriven::Arguments& args) {
  std::vector<Link> links;
  for (const std::string& word : args.RestPositional()) {
    const std::vector<Link> some = ParseLinks(word);
    if (some.empty()) args.Fail(absl::StrCat("`", word, "` is not a link A->B or A-B"));
    for (const Link& link : some) {
      if (!env.Exists(link.from) || !env.Exists(link.to)) {
        args.Fail(absl::StrCat("no such members: `", word, "`"));
      }
      links.push_back(link);
    }
  }
  return links;
}

}  // namespace lockd::raft_env
