#include "tools/cli/cluster_status.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace lockd::cli {
namespace {

class Collector : public std::enable_shared_from_this<Collector> {
 public:
  Collector(Client& client, ReadOptions options,
            absl::AnyInvocable<void(std::vector<NodeReport>)> done)
      : client_(client), options_(options), done_(std::move(done)) {}

  void Start() {
    for (const std::string& endpoint : client_.endpoints()) Ask(endpoint, NodeId(0));
  }

 private:
  void Ask(const std::string& address, NodeId node_id) {
    if (!asked_.insert(address).second) return;
    ++pending_;
    client_.GetStatus(
        address, options_,
        [self = shared_from_this(), address, node_id](absl::StatusOr<NodeStatus> status) {
          self->OnAnswer(address, node_id, std::move(status));
        });
  }

  void OnAnswer(const std::string& address, NodeId node_id, absl::StatusOr<NodeStatus> status) {
    if (status.ok()) {
      node_id = status->node_id;
      for (const MemberRecord& member : status->members) {
        const auto [known, is_new] = members_.insert({member.node_id, member.client_address});
        if (known->second.empty()) known->second = member.client_address;
      }
    }
    reports_.push_back({address, node_id, std::move(status)});
    if (--pending_ > 0) return;
    AskOtherMembers();
    if (pending_ == 0) Finish();
  }

  [[nodiscard]] bool HasAnswered(NodeId node_id) const {
    return std::any_of(reports_.begin(), reports_.end(), [&](const NodeReport& report) {
      return report.status.ok() && report.node_id == node_id;
    });
  }

  void AskOtherMembers() {
    for (const auto& [node_id, address] : members_) {
      if (!address.empty() && !HasAnswered(node_id)) Ask(address, node_id);
    }
  }

  void Finish() {
    NameTheSilent();
    std::stable_sort(reports_.begin(), reports_.end(), [](const auto& a, const auto& b) {
      const auto rank = [](const NodeReport& report) {
        return std::pair(report.node_id.is_zero(), report.node_id);
      };
      return rank(a) < rank(b);
    });
    // One node under two addresses stands side by side now; the first that was answered stays.
    std::vector<NodeReport> reports;
    for (NodeReport& report : reports_) {
      const bool is_same = !reports.empty() && !report.node_id.is_zero() &&
                           reports.back().node_id == report.node_id &&
                           IsSame(reports.back(), report);
      if (!is_same) {
        reports.push_back(std::move(report));
      } else if (!reports.back().status.ok()) {
        reports.back() = std::move(report);
      }
    }
    done_(std::move(reports));
  }

  // Endpoints of two clusters may have nodes of the same number.
  static bool IsSame(const NodeReport& a, const NodeReport& b) {
    return !a.status.ok() || !b.status.ok() || a.status->cluster_id == b.status->cluster_id;
  }

  // Members that did not answer: their number beside the error, and those without an address too.
  void NameTheSilent() {
    for (const auto& [node_id, address] : members_) {
      bool is_reported = HasAnswered(node_id);
      for (NodeReport& report : reports_) {
        if (address.empty() || report.address != address) continue;
        if (!report.status.ok()) report.node_id = node_id;
        is_reported = true;
      }
      if (is_reported) continue;
      reports_.push_back({address, node_id,
                          absl::UnavailableError("no node that answers knows its client address")});
    }
  }

  Client& client_;
  const ReadOptions options_;
  absl::AnyInvocable<void(std::vector<NodeReport>)> done_;
  std::set<std::string> asked_;
  std::map<NodeId, std::string> members_;  // client addresses
  std::vector<NodeReport> reports_;
  int pending_ = 0;
};

}  // namespace

void CollectStatus(Client& client, ReadOptions options,
                   absl::AnyInvocable<void(std::vector<NodeReport>)> done) {
  std::make_shared<Collector>(client, options, std::move(done))->Start();
}

}  // namespace lockd::cli
