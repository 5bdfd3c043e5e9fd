// What the processor can do: bit 0 AVX2 and FMA, bit 1 AVX512, bit 2 AVX512-BF16.
// Compiled without instruction-set flags, so that it runs anywhere; elsewhere than on x86-64 nothing.
extern "C" int cpu_features() {
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  return avx2 | avx512 << 1 | bf16 << 2;
#else
  return 0;
#endif
}
