#include "consensus/storage/start_decision.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/file_system.h"
#include "protocol/base/check.h"

namespace lockd::storage {
namespace {

using FindingState = SnapshotFinding::State;

template <typename Fact>
constexpr uint8_t Any(std::initializer_list<Fact> facts) {
  uint8_t bits = 0;
  for (const Fact fact : facts) {
    bits = static_cast<uint8_t>(bits | 1U << static_cast<unsigned>(fact));
  }
  return bits;
}

template <typename Fact>
bool Has(uint8_t bits, Fact fact) {
  return (bits >> static_cast<unsigned>(fact) & 1U) != 0;
}

constexpr uint8_t kNo = Any({false});
constexpr uint8_t kYes = Any({true});
constexpr uint8_t kEither = kNo | kYes;
constexpr uint8_t kNoLog = Any({LogFact::kAbsent});
constexpr uint8_t kSomeLog = Any({LogFact::kFromTheBeginning, LogFact::kNeedsSnapshot});
constexpr uint8_t kAnyLog = kNoLog | kSomeLog;
constexpr uint8_t kNone = Any({SnapshotFact::kNone});
constexpr uint8_t kUseless = Any({SnapshotFact::kNone, SnapshotFact::kBelowBase});
constexpr uint8_t kInLog = Any({SnapshotFact::kInLog});
constexpr uint8_t kInPlaceOfLog = Any({SnapshotFact::kConflicts, SnapshotFact::kBeyondLog});
constexpr uint8_t kContradicts = Any({SnapshotFact::kContradicts});
constexpr uint8_t kAnySnapshot = kUseless | kInLog | kInPlaceOfLog | kContradicts;
constexpr uint8_t kSomeSnapshot = static_cast<uint8_t>(kAnySnapshot & ~kNone);

constexpr uint8_t kFromTheBeginning = Any({LogFact::kFromTheBeginning});
constexpr uint8_t kNeedsSnapshot = Any({LogFact::kNeedsSnapshot});

using Action = StartAction;
// Kept as columns.
// clang-format off
constexpr StartRow kTable[] = {
    // action                        version  foreign  log                newest         damaged
    {Action::kRefuseVersion,         kYes,    kEither, kAnyLog,           kAnySnapshot,  kEither},
    {Action::kRefuseOwner,           kNo,     kYes,    kAnyLog,           kAnySnapshot,  kEither},
    {Action::kBeginNewLog,           kNo,     kNo,     kNoLog,            kNone,         kNo},
    {Action::kRefuseLogMissing,      kNo,     kNo,     kNoLog,            kNone,         kYes},
    {Action::kRefuseLogMissing,      kNo,     kNo,     kNoLog,            kSomeSnapshot, kEither},
    {Action::kApplyLog,              kNo,     kNo,     kFromTheBeginning, kUseless,      kEither},
    {Action::kRefuseSnapshotMissing, kNo,     kNo,     kNeedsSnapshot,    kUseless,      kEither},
    {Action::kLoadSnapshot,          kNo,     kNo,     kSomeLog,          kInLog,        kEither},
    {Action::kReplaceLog,            kNo,     kNo,     kSomeLog,          kInPlaceOfLog, kEither},
    {Action::kRefuseContradiction,   kNo,     kNo,     kSomeLog,          kContradicts,  kEither},
};
// clang-format on

// The newest that verifies; null: none does.
const SnapshotFinding* NewestVerified(const std::vector<SnapshotFinding>& findings) {
  const auto found = std::find_if(
      findings.rbegin(), findings.rend(),
      [](const SnapshotFinding& finding) { return finding.state == FindingState::kVerified; });
  return found == findings.rend() ? nullptr : &*found;
}

const SnapshotFinding* FirstOf(FindingState state, const std::vector<SnapshotFinding>& findings) {
  const auto found = std::find_if(findings.begin(), findings.end(),
                                  [state](const auto& finding) { return finding.state == state; });
  return found == findings.end() ? nullptr : &*found;
}

SnapshotFact FactOf(const raft::LogBase& snapshot, const FoundLog& log) {
  if (log.index == nullptr) return SnapshotFact::kBeyondLog;
  const raft::LogBase& base = log.index->base();
  if (snapshot.index < base.index) return SnapshotFact::kBelowBase;
  if (snapshot.index > log.index->last().index) return SnapshotFact::kBeyondLog;
  if (snapshot.index == base.index) {
    return snapshot == base ? SnapshotFact::kInLog : SnapshotFact::kContradicts;
  }
  if (log.index->Holds(snapshot)) return SnapshotFact::kInLog;
  return snapshot.index > log.commit ? SnapshotFact::kConflicts : SnapshotFact::kContradicts;
}

absl::Status RefuseLogMissing(const std::vector<SnapshotFinding>& findings,
                              const std::string& wal_directory) {
  return MakeFailure(
      Failure::kDamaged,
      absl::StrCat(wal_directory, " at offset 0: there is no log, but there is ",
                   findings.back().path,
                   "; nothing was changed. A node without its log may have forgotten a vote: put "
                   "the log back, or ",
                   kComeBackAnew));
}

absl::Status RefuseSnapshotMissing(const FoundLog& log,
                                   const std::vector<SnapshotFinding>& findings,
                                   const std::string& snapshot_directory) {
  const raft::LogBase& base = log.index->base();
  const SnapshotFinding* damaged = FirstOf(FindingState::kDamaged, findings);
  const std::string problem =
      damaged != nullptr ? damaged->problem
                         : absl::StrCat(JoinPath(snapshot_directory, SnapshotName(PlaceOf(base))),
                                        " at offset 0: this snapshot, or a newer one, is missing");
  return MakeFailure(
      Failure::kDamaged,
      absl::StrCat(problem, "; the log begins after entry ", base.index,
                   " and no whole snapshot reaches it; nothing was changed. Put back the missing "
                   "or original file, or ",
                   kComeBackAnew));
}

absl::Status RefuseContradiction(const FoundLog& log, const SnapshotFinding& snapshot,
                                 const std::string& wal_directory) {
  return MakeFailure(
      Failure::kDamaged,
      absl::StrCat(
          snapshot.path, " at offset ", snapshot_head_at::kBaseIndex, ": is of entry ",
          snapshot.place.index, " of term ", snapshot.place.term, ", but the log in ",
          wal_directory, " holds another one there and knows it to be committed (up to ",
          log.commit, ", base ", log.index->base().index,
          "); nothing was changed. One of them is not of this node's history: put back the "
          "original files, or ",
          kComeBackAnew));
}

void AddNotes(const std::vector<SnapshotFinding>& findings, StartVerdict* verdict) {
  for (const SnapshotFinding& finding : findings) {
    if (finding.state != FindingState::kDamaged) continue;
    verdict->notes.push_back(absl::StrCat(
        finding.problem, "; ",
        verdict->snapshot != nullptr ? verdict->snapshot->path : std::string("the whole log"),
        " is used instead"));
  }
  if (verdict->action == Action::kReplaceLog) {
    verdict->notes.push_back(absl::StrCat(
        verdict->snapshot->path,
        verdict->facts.newest == SnapshotFact::kBeyondLog ? " goes beyond the log"
                                                          : " is of another history than the log's "
                                                            "uncommitted end",
        ", as a crash leaves it while a snapshot is installed: the log now begins after entry ",
        verdict->snapshot->place.index));
  }
}

}  // namespace

bool StartRow::Matches(const StartFacts& facts) const {
  return Has(unknown_version, facts.unknown_version) && Has(foreign, facts.foreign) &&
         Has(log, facts.log) && Has(newest, facts.newest) &&
         Has(newer_damaged, facts.newer_damaged);
}

absl::Span<const StartRow> StartTable() {
  return kTable;
}

StartAction DecideStart(const StartFacts& facts) {
  const auto row = std::find_if(std::begin(kTable), std::end(kTable),
                                [&facts](const StartRow& each) { return each.Matches(facts); });
  LOCKD_CHECK(row != std::end(kTable), "no row for what was found at a start");
  return row->action;
}

StartFacts FactsOf(const FoundLog& log, const std::vector<SnapshotFinding>& findings) {
  StartFacts facts;
  facts.unknown_version = FirstOf(FindingState::kUnknownVersion, findings) != nullptr;
  facts.foreign = FirstOf(FindingState::kForeign, findings) != nullptr;
  if (log.index != nullptr) {
    facts.log = log.index->base().index > log.beginning ? LogFact::kNeedsSnapshot
                                                        : LogFact::kFromTheBeginning;
  }
  const SnapshotFinding* newest = NewestVerified(findings);
  if (newest != nullptr) facts.newest = FactOf(newest->outline.id.base, log);
  facts.newer_damaged = std::any_of(findings.begin(), findings.end(), [newest](const auto& each) {
    return each.state == FindingState::kDamaged &&
           (newest == nullptr || each.place > newest->place);
  });
  return facts;
}

StartVerdict JudgeStart(const FoundLog& log, const std::vector<SnapshotFinding>& findings,
                        const std::string& wal_directory, const std::string& snapshot_directory) {
  StartVerdict verdict;
  verdict.facts = FactsOf(log, findings);
  verdict.action = DecideStart(verdict.facts);
  switch (verdict.action) {
    case Action::kRefuseVersion:
      verdict.refusal = MakeFailure(Failure::kUnusable,
                                    FirstOf(FindingState::kUnknownVersion, findings)->problem);
      return verdict;
    case Action::kRefuseOwner:
      verdict.refusal =
          MakeFailure(Failure::kWrongOwner, FirstOf(FindingState::kForeign, findings)->problem);
      return verdict;
    case Action::kRefuseLogMissing:
      verdict.refusal = RefuseLogMissing(findings, wal_directory);
      return verdict;
    case Action::kRefuseSnapshotMissing:
      verdict.refusal = RefuseSnapshotMissing(log, findings, snapshot_directory);
      return verdict;
    case Action::kRefuseContradiction:
      verdict.refusal = RefuseContradiction(log, *NewestVerified(findings), wal_directory);
      return verdict;
    case Action::kLoadSnapshot:
    case Action::kReplaceLog:
      verdict.snapshot = NewestVerified(findings);
      break;
    case Action::kBeginNewLog:
    case Action::kApplyLog:
      break;
  }
  AddNotes(findings, &verdict);
  return verdict;
}

}  // namespace lockd::storage
