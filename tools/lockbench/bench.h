// One run of lockbench: sessions, warm-up, measurement, report.
//
// Threading: runs everything on the calling thread.
#ifndef LOCKD_TOOLS_LOCKBENCH_BENCH_H_
#define LOCKD_TOOLS_LOCKBENCH_BENCH_H_

#include "tools/lockbench/command_line.h"

namespace lockd::lockbench {

// Returns the exit status.
int RunBench(const Arguments& arguments);

}  // namespace lockd::lockbench

#endif  // LOCKD_TOOLS_LOCKBENCH_BENCH_H_
