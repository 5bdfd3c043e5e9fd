// What the processor can do: bit 0 AVX2 and FMA, bit 1 AVX512, bit 2 AVX512-BF16, bit 3 AMX-BF16.
// Compiled without instruction-set flags, so that it runs anywhere; elsewhere than on x86-64 nothing.
#ifdef __x86_64__
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

// Whether the processor has AMX with bf16 and the system lets this process use it. Linux keeps tiles
// from a process until it asks, once, for all its threads.
static bool has_amx() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, asm/prctl.h
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool bf16 = d >> 22 & 1, tiles = d >> 24 & 1;
  return bf16 && tiles && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return false;
#endif
}
#endif

extern "C" int cpu_features() {
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  const bool amx = bf16 && has_amx();
  return avx2 | avx512 << 1 | bf16 << 2 | amx << 3;
#else
  return 0;
#endif
}
