#include "consensus/raft/membership.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <utility>

#include "consensus/raft/quorum.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

namespace lockd::raft {
namespace {

constexpr uint16_t kVersion = 1;

void AppendIds(std::string& to, const std::vector<NodeId>& ids) {
  LOCKD_CHECK(ids.size() <= UINT16_MAX, ids.size(), " members");
  AppendLittle(to, static_cast<uint16_t>(ids.size()));
  for (const NodeId id : ids) AppendLittle(to, id.value());
}

std::vector<NodeId> TakeIds(ByteReader& reader) {
  std::vector<NodeId> ids;
  const size_t count = reader.U16();
  if (count > reader.remaining() / sizeof(uint64_t)) {
    (void)reader.Bytes(reader.remaining() + 1);  // cut off: the reader fails
    return ids;
  }
  ids.reserve(count);
  for (size_t i = 0; i < count; ++i) ids.push_back(NodeId{reader.U64()});
  return ids;
}

bool Ascends(const std::vector<NodeId>& ids) {
  return std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end() &&
         (ids.empty() || !ids.front().is_zero());
}

}  // namespace

std::string Encode(const ConfigurationChange& change) {
  std::string payload;
  AppendLittle(payload, kVersion);
  AppendIds(payload, change.configuration.voters);
  AppendIds(payload, change.configuration.outgoing_voters);
  AppendIds(payload, change.configuration.learners);
  return payload + change.particulars;
}

std::optional<ConfigurationChange> DecodeConfigurationChange(absl::string_view payload) {
  ByteReader reader(payload);
  if (reader.U16() != kVersion) return std::nullopt;
  ConfigurationChange change;
  change.configuration.voters = TakeIds(reader);
  change.configuration.outgoing_voters = TakeIds(reader);
  change.configuration.learners = TakeIds(reader);
  change.particulars = std::string(reader.Bytes(reader.remaining()));
  if (!reader.ok() || !IsValid(change.configuration)) return std::nullopt;
  return change;
}

bool IsValid(const Configuration& configuration) {
  const std::vector<NodeId>& learners = configuration.learners;
  return !configuration.voters.empty() && Ascends(configuration.voters) &&
         Ascends(configuration.outgoing_voters) && Ascends(learners) &&
         std::none_of(learners.begin(), learners.end(),
                      [&](NodeId learner) { return IsVoter(configuration, learner); });
}

bool IsJoint(const Configuration& configuration) {
  return !configuration.outgoing_voters.empty();
}

Configuration EnterJoint(const Configuration& from, const Configuration& to) {
  return {to.voters, from.voters, to.learners};
}

Configuration LeaveJoint(const Configuration& joint) {
  return {joint.voters, {}, joint.learners};
}

bool IsOneStep(const Configuration& from, const Configuration& to) {
  if (!IsValid(from) || !IsValid(to)) return false;
  if (IsJoint(from)) return to == LeaveJoint(from);
  return IsJoint(to) ? to.outgoing_voters == from.voters : to.voters == from.voters;
}

ConfigurationLog::ConfigurationLog(Configuration base) {
  all_.push_back({Index{0}, {std::move(base), {}}});
}

const ConfigurationLog::Placed& ConfigurationLog::At(Index index) const {
  const auto above =
      std::upper_bound(all_.begin(), all_.end(), index,
                       [](Index i, const Placed& placed) { return i < placed.index; });
  LOCKD_CHECK(above != all_.begin(), "the configuration at ", index, " is forgotten");
  return *std::prev(above);
}

void ConfigurationLog::Append(Index index, ConfigurationChange change) {
  LOCKD_CHECK(index > newest_index(), "configuration at ", index, " after ", newest_index());
  all_.push_back({index, std::move(change)});
}

void ConfigurationLog::TruncateFrom(Index index) {
  LOCKD_CHECK(index > all_.front().index, "the configuration of the base, of ", all_.front().index,
              ", cut at ", index);
  while (newest_index() >= index) all_.pop_back();
}

void ConfigurationLog::CompactTo(Index index) {
  while (all_.size() > 1 && all_[1].index <= index) all_.erase(all_.begin());
}

void ConfigurationLog::Restore(Index index, Configuration configuration, bool keeps_rest) {
  std::vector<Placed> kept = {{index, {std::move(configuration), {}}}};
  for (Placed& placed : all_) {
    if (keeps_rest && placed.index > index) kept.push_back(std::move(placed));
  }
  all_ = std::move(kept);
}

}  // namespace lockd::raft
