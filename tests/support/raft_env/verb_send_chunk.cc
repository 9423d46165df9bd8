#include "tests/support/raft_env/verbs.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lockd::raft_env {
namespace {

absl::Status SendChunk(RaftEnv& env, datadriven::Arguments& args) {
  const std::string word = args.Positional("A->B");
  const std::vector<Link> links = ParseLinks(word);
  if (links.size() != 1 || !env.Exists(links[0].from) || !env.Exists(links[0].to)) {
    args.Fail(absl::StrCat("`", word, "` is not a link A->B between members"));
  }
  const uint64_t offset = args.Number("offset", 0);
  const std::optional<uint64_t> bytes = args.OptionalNumber("bytes");
  if (offset >= RaftEnv::kSnapshotBytes || bytes.value_or(0) > RaftEnv::kSnapshotBytes - offset) {
    args.Fail(absl::StrCat("a snapshot has ", RaftEnv::kSnapshotBytes, " bytes"));
  }
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  const Member& sender = env.member(links[0].from);
  if (!sender.up() || !sender.disk.snapshot) {
    return absl::InvalidArgumentError("the sender is down or has no snapshot");
  }
  env.SendChunk(links[0], offset, bytes.value_or(RaftEnv::kSnapshotBytes - offset));
  return absl::OkStatus();
}

}  // namespace

const Verb kSendChunk = {
    "send-chunk", "A->B [offset=O] [bytes=K]",
    "A's owner wants to send B a piece of A's snapshot: K bytes from O on, by default all of its "
    "100. It is sent with A's next Ready if A leads and B needs a snapshot. B keeps pieces that "
    "continue what it has, and answers how far that is; one of a snapshot that it does not need is "
    "answered with `installed`.",
    SendChunk};

}  // namespace lockd::raft_env
