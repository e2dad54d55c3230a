// How RunActor's parts post work: each task keeps the actor alive.
#pragma once

#include <utility>

#include "server/run/run_actor.h"

namespace ckpt::server {

template <typename Fn>
void RunActor::PostStrand(Fn fn) {
  strand_.Post([self = shared_from_this(), fn = std::move(fn)]() mutable { fn(); });
}

template <typename Fn>
void RunActor::PostDisk(Fn fn) {
  disk_.Post([self = shared_from_this(), fn = std::move(fn)]() mutable { fn(); });
}

}  // namespace ckpt::server
