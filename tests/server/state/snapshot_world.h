// SnapshotWorld: a small database in which everything that a snapshot has a record or a field for
// is there, and different from its default.
//
//   alpha      held by Ann for at most 60 s; waiting: Ben for at most 30 s, Cat, Eve (with a
//              maximum hold)
//   beta       held by Cat, who waited for it: her outcome is kept
//   (long)     a name of 1,024 bytes, held by Ann; Eve waits
//   gamma      held by Eve
//   Ann        has a reply of each kind; Ben has outcomes of each final kind
//   Dan        has ended and is remembered; Fay is disconnected and within her grace
//   Gus        has ended; the waiter that clean-up had left was dropped by a grant: not settled
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SERVER_STATE_SNAPSHOT_WORLD_H_
#define LOCKD_TESTS_SERVER_STATE_SNAPSHOT_WORLD_H_

#include <string>

#include "tests/server/state/driver.h"

namespace lockd::state {

class SnapshotWorld {
 public:
  SnapshotWorld() {
    const Member one{NodeId(1), "n1:7421", "n1:7420", Incarnation(11)};
    const Member two{NodeId(2), std::string(kAddressBytesMax, 'p'), "", Incarnation(0)};
    d.Do(Bootstrap{ClusterId(5), kFeatureLevelMax, SomeSettings(), {one, two}});
    d.At(1'000);
    for (Client* client : {&ann, &ben, &cat, &dan, &eve}) *client = d.Open(100'000, 4'000);
    fay = d.Open(50'000, 5'000);
    gus = d.Open(60'000);
    hal = d.Open(60'000);
    d.Attach(hal);
    Locks();
    Outcomes();
    d.Acquire(dan, "alpha");
    d.Close(dan);
    d.Drop(fay);
    LeaveGusUnsettled();
  }

  static Settings SomeSettings() {
    Settings settings;
    settings.session_ttl_ms_min = 11;
    settings.session_ttl_ms_max = 1'000'012;
    settings.grace_ms_min = 13;
    settings.sessions_max = 14;
    settings.locks_max = 15;
    settings.waiters_max = 16;
    settings.locks_per_session_max = 7;
    settings.waiters_per_session_max = 8;
    settings.cleanup_holds_max = 1;
    return settings;
  }
  static std::string LongName() {
    std::string name(kLockNameBytesMax, 'n');
    name[7] = '\0';
    return name;
  }

  // Members of each role, one without an incarnation, and a node id that is gone; until then the
  // members are as founded.
  void GiveRoles() {
    const Member three{NodeId(3), "n3:7421", "n3:7420", Incarnation(33)};
    const Member four{NodeId(4), "n4:7421", "", Incarnation(0)};
    const Member five{NodeId(5), "n5:7421", "n5:7420", Incarnation(55)};
    ChangeMembers learners = ChangeTo({1, 2}, {}, {3, 4, 5});
    learners.added = {three, four, five};
    d.Do(learners);
    d.Do(ChangeTo({1, 4}, {1, 2}, {3}));
  }

  LockDatabase& db() { return d.db(); }

  Driver d;
  Client ann, ben, cat, dan, eve, fay, gus, hal;
  Grant anns_alpha, anns_long, cats_beta, eves_gamma;
  Sequence bens_alpha, cats_alpha, eves_alpha, cats_wait_for_beta;

 private:
  void Locks() {
    anns_alpha = d.Lock(ann, "alpha", 60'000);
    bens_alpha = d.Queue(ben, "alpha", 30'000);
    cats_alpha = d.Queue(cat, "alpha");
    eves_alpha = d.Queue(eve, "alpha", kWaitForever, 20'000);
    const Grant before = d.Lock(ben, "beta");
    cats_wait_for_beta = d.Queue(cat, "beta");
    d.Release(ben, "beta", before.token);
    cats_beta = d.EventsOf<AcquireDone>().at(0).result.grant;
    anns_long = d.Lock(ann, LongName());
    d.Queue(eve, LongName());
    eves_gamma = d.Lock(eve, "gamma");
  }
  void Outcomes() {
    d.Release(ann, "alpha", FencingToken(1));  // stale
    d.Cancel(ann, Sequence(1));                // too late
    d.Do(Reconcile{ann.NextHead(), Sequence(0), Sequence(0), {}});
    d.Cancel(ben, d.Queue(ben, "gamma"));
    d.Queue(ben, "gamma", 1);
    d.TickAt(2'000);
    // A grant that meets a limit.
    Settings low = SomeSettings();
    const Grant held = d.Lock(hal, "delta");
    d.Queue(ben, "delta");
    low.locks_max = 1;
    d.ChangeSettings(low);
    d.Release(hal, "delta", held.token);
    d.ChangeSettings(SomeSettings());
    hal.acknowledged_through = Sequence(1);
    d.Acquire(hal, "gamma");
  }
  void LeaveGusUnsettled() {
    const Grant held = d.Lock(hal, "epsilon");
    d.Queue(gus, "epsilon");
    // The budget of an end is used up by its beginning; the release finds the waiter left over.
    d.DoAll({CloseSession{gus.id, gus.epoch}, Release{hal.NextHead(), "epsilon", held.token}});
  }
};

}  // namespace lockd::state

#endif  // LOCKD_TESTS_SERVER_STATE_SNAPSHOT_WORLD_H_
