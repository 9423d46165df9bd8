#include "tests/support/raft_env/verbs.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace lockd::raft_env {
namespace {

constexpr size_t kLineWidth = 96;

constexpr std::array kVerbs = {
    &kAddNodes,  &kSetLog,  &kCampaign,  &kElect,      &kTick,     &kSuspect,   &kTransfer,
    &kPropose,   &kChange,  &kRead,      &kInject,     &kReady,    &kPersist,   &kApply,
    &kSnapshot,  &kCompact, &kSendChunk, &kRestore,    &kDeliver,  &kDrop,      &kDuplicate,
    &kHold,      &kRelease, &kStabilize, &kRun,        &kCrash,    &kRestart,   &kCut,
    &kPartition, &kHeal,    &kExpect,    &kPrintState, &kPrintLog, &kPrintCore, &kPrintMessages,
    &kPrintDisk, &kOutput};

// Appends `text` after `first`, broken at spaces into lines of kLineWidth; later lines begin with
// `indent` spaces.
void AppendWrapped(std::string& to, absl::string_view first, absl::string_view text,
                   size_t indent) {
  std::string line(first);
  bool is_empty = true;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (!is_empty && line.size() + 1 + word.size() > kLineWidth) {
      absl::StrAppend(&to, line, "\n");
      line.assign(indent, ' ');
    } else if (!is_empty) {
      line.push_back(' ');
    }
    line.append(word.data(), word.size());
    is_empty = false;
  }
  absl::StrAppend(&to, line, "\n");
}

}  // namespace

absl::Span<const Verb* const> AllVerbs() {
  return kVerbs;
}

const Verb* FindVerb(absl::string_view name) {
  for (const Verb* verb : kVerbs) {
    if (verb->name == name) return verb;
  }
  return nullptr;
}

std::string Manual() {
  std::string manual;
  for (const Verb* verb : kVerbs) {
    AppendWrapped(manual, absl::StrCat(verb->name, " "), verb->arguments, 4);
    AppendWrapped(manual, "    ", verb->help, 4);
    absl::StrAppend(&manual, "\n");
  }
  AppendWrapped(manual, "", Selection::kHelp, 0);
  return manual;
}

}  // namespace lockd::raft_env
