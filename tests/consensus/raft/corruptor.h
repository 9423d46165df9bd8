// RaftCorruptor: reaches into a member and breaks it, so that a test sees an invariant trip. A
// friend of the core's classes; nothing else may be one.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_CONSENSUS_RAFT_CORRUPTOR_H_
#define LOCKD_TESTS_CONSENSUS_RAFT_CORRUPTOR_H_

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "consensus/raft/raft.h"

namespace lockd::raft {

struct RaftCorruptor {
  explicit RaftCorruptor(Raft& r) : raft(r), core(r.core_), log(r.core_.log_) {}

  // -- the log --
  Entry& entry(uint64_t index) { return log.tail_[Index{index} - log.held_first_index()]; }
  void DropFirstInMemory() {
    log.tail_bytes_ -= log.tail_.front().size_bytes();
    log.tail_.pop_front();
  }
  size_t& tail_bytes() { return log.tail_bytes_; }
  ClusterTime& last_time() { return log.last_time_; }
  Index& commit_index() { return log.commit_index_; }
  Index& applied_index() { return log.applied_index_; }
  Index& written_index() { return log.written_index_; }
  Index& durable_index() { return log.durable_index_; }
  Index& last_of_write(size_t i) { return log.writes_[i].last; }
  Index& first_run() { return log.runs_.front().first; }

  // -- the core --
  Term& term() { return core.term_; }
  NodeId& voted_for() { return core.voted_for_; }
  std::vector<ConfigurationLog::Placed>& configurations() { return log.configurations_.all_; }
  HardState& handed() { return core.handed_; }
  uint64_t& vote_write() { return core.vote_write_; }
  void Defer(uint64_t write_id, Message message) {
    core.deferred_.push_back({write_id, std::move(message)});
  }
  std::vector<Message>& with_next_write() { return core.with_next_write_; }
  void Tell(const LogBase& base) { core.pending_base_ = {base, false}; }
  std::vector<Entry>& apply_entries() { return core.apply_entries_; }

  // -- roles --
  Follower& follower() { return std::get<Follower>(raft.role_); }
  Candidate& candidate() { return std::get<Candidate>(raft.role_); }
  Leader& leader() { return std::get<Leader>(raft.role_); }
  Progress& progress(size_t i) { return leader().followers_.at(i); }

  static NodeId& leader_id(Follower& f) { return f.leader_id_; }
  static Tick& election_at(Follower& f) { return f.election_at_; }
  static Term& campaign_term(Candidate& c) { return c.campaign_term_; }
  static Index& noop_index(Leader& l) { return l.noop_index_; }
  static size_t& uncommitted_bytes(Leader& l) { return l.uncommitted_bytes_; }
  static std::vector<Progress>& followers(Leader& l) { return l.followers_; }
  static NodeId& to(Transfer& t) { return t.to_; }
  static Tick& deadline(Transfer& t) { return t.deadline_; }
  static std::optional<Transfer>& transfer(Leader& l) { return l.transfer_; }
  static Index& match_index(Progress& p) { return p.match_index_; }
  static Index& next_index(Progress& p) { return p.next_index_; }
  static size_t& inflight_bytes(Progress& p) { return p.inflight_bytes_; }
  static Progress::State& state(Progress& p) { return p.state_; }
  static uint64_t& confirmed_round(Progress& p) { return p.confirmed_round_; }

  Raft& raft;
  Core& core;
  RaftLog& log;
};

}  // namespace lockd::raft

#endif  // LOCKD_TESTS_CONSENSUS_RAFT_CORRUPTOR_H_
