#include "tests/support/raft_env/verbs.h"

#include <vector>

namespace lockd::raft_env {
namespace {

absl::Status Cut(RaftEnv& env, datadriven::Arguments& args) {
  const std::vector<Link> links = TakeLinks(env, args);
  if (links.empty()) args.Fail("missing argument LINK");
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const Link& link : links) env.network().Cut(link);
  return absl::OkStatus();
}

}  // namespace

const Verb kCut = {
    "cut", "LINK...",
    "Cuts links: A->B in one direction, A-B in both. A message is lost when its link "
    "is cut while it is sent or while it is delivered.",
    Cut};

}  // namespace lockd::raft_env
