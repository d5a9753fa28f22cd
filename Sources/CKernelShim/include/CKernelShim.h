/* One-line vector operations for the Swift kernels, and the CPUID check. Header-only: a function is compiled
   with the flags of the Swift module that imports it, which is what makes one kernel source serve several
   instruction sets. Sixteen lanes, but in the tiles; where registers are narrower the compiler splits them. */
#pragma once
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#define ATTENTION_INLINE static inline __attribute__((always_inline, unused))

typedef float attention_f32x16 __attribute__((ext_vector_type(16)));
typedef int32_t attention_i32x16 __attribute__((ext_vector_type(16)));
typedef uint32_t attention_u32x16 __attribute__((ext_vector_type(16)));
typedef uint16_t attention_u16x16 __attribute__((ext_vector_type(16)));
typedef float attention_f32x8 __attribute__((ext_vector_type(8)));
typedef uint32_t attention_u32x8 __attribute__((ext_vector_type(8)));
typedef uint16_t attention_u16x8 __attribute__((ext_vector_type(8)));
typedef attention_u16x8 attention_u16x8_unaligned __attribute__((aligned(2)));
typedef attention_f32x16 attention_f32x16_unaligned __attribute__((aligned(4)));
typedef attention_u32x16 attention_u32x16_unaligned __attribute__((aligned(4)));
typedef attention_u16x16 attention_u16x16_unaligned __attribute__((aligned(2)));

#if defined(__FMA__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA)
#define ATTENTION_FMA(a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define ATTENTION_FMA(a, b, c) ((a) * (b) + (c)) /* a library call per lane otherwise */
#endif

/* ---- f32 ---- */
ATTENTION_INLINE attention_f32x16 attention_splat(float x) { return (attention_f32x16)(x); }
ATTENTION_INLINE attention_f32x16 attention_load(const void *p) { return *(const attention_f32x16_unaligned *)p; }
ATTENTION_INLINE void attention_store(void *p, attention_f32x16 v) { *(attention_f32x16_unaligned *)p = v; }
ATTENTION_INLINE void attention_store_first(float *p, attention_f32x16 v) { *p = v[0]; }
ATTENTION_INLINE attention_f32x16 attention_add(attention_f32x16 a, attention_f32x16 b) { return a + b; }
ATTENTION_INLINE attention_f32x16 attention_subtract(attention_f32x16 a, attention_f32x16 b) { return a - b; }
ATTENTION_INLINE attention_f32x16 attention_multiply(attention_f32x16 a, attention_f32x16 b) { return a * b; }
ATTENTION_INLINE attention_f32x16 attention_divide(attention_f32x16 a, attention_f32x16 b) { return a / b; }
ATTENTION_INLINE attention_f32x16 attention_fma(attention_f32x16 a, attention_f32x16 b, attention_f32x16 c) { return ATTENTION_FMA(a, b, c); }
ATTENTION_INLINE attention_f32x16 attention_maximum(attention_f32x16 a, attention_f32x16 b) { return a > b ? a : b; }
ATTENTION_INLINE attention_f32x16 attention_minimum(attention_f32x16 a, attention_f32x16 b) { return a < b ? a : b; }
ATTENTION_INLINE attention_f32x16 attention_magnitude(attention_f32x16 a) { return (attention_f32x16)((attention_u32x16)a & 0x7fffffffu); }
/* magnitude of a, sign of s */
ATTENTION_INLINE attention_f32x16 attention_with_sign(attention_f32x16 a, attention_f32x16 s) { return (attention_f32x16)(((attention_u32x16)a & 0x7fffffffu) | ((attention_u32x16)s & 0x80000000u)); }
/* a where s is negative, b elsewhere */
ATTENTION_INLINE attention_f32x16 attention_select_negative(attention_f32x16 s, attention_f32x16 a, attention_f32x16 b) { return s < 0 ? a : b; }
/* first, first + 1, … first + 15 */
ATTENTION_INLINE attention_f32x16 attention_ramp(float first) { return (attention_f32x16){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + first; }
/* v where low <= lane < high, other elsewhere */
ATTENTION_INLINE attention_f32x16 attention_keep(attention_f32x16 v, int low, int high, float other) {
  attention_i32x16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return ((lane >= low) & (lane < high)) ? v : (attention_f32x16)(other);
}
ATTENTION_INLINE float attention_largest(attention_f32x16 v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)v);
#else
  float m = v[0];
  for (int i = 1; i < 16; i++) m = m > v[i] ? m : v[i];
  return m;
#endif
}
/* Whether any lane is above the number. */
ATTENTION_INLINE int attention_any_above(attention_f32x16 v, float x) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(x), _CMP_GT_OQ) != 0;
#else
  return __builtin_reduce_or((attention_i32x16)(v > x)) != 0;
#endif
}
/* Whether every lane is below x; not of a NaN. */
ATTENTION_INLINE int attention_all_below(attention_f32x16 v, float x) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(x), _CMP_LT_OQ) == 0xffff;
#else
  return __builtin_reduce_and((attention_i32x16)(v < x)) != 0;
#endif
}
/* Whether every lane is above low and at most high. */
ATTENTION_INLINE int attention_all_within(attention_f32x16 v, float low, float high) {
#if defined(__AVX512F__)
  __mmask16 above = _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(low), _CMP_GT_OQ);
  return _mm512_mask_cmp_ps_mask(above, (__m512)v, _mm512_set1_ps(high), _CMP_LE_OQ) == 0xffff;
#else
  return __builtin_reduce_and((attention_i32x16)((v > low) & (v <= high))) != 0;
#endif
}
/* Whether any lane is NaN. */
ATTENTION_INLINE int attention_any_unordered(attention_f32x16 v) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q) != 0;
#else
  return __builtin_reduce_or((attention_i32x16)(v != v)) != 0;
#endif
}
/* In a fixed order: eights, fours, twos, one. */
ATTENTION_INLINE float attention_sum(attention_f32x16 v) {
  typedef float f32x8 __attribute__((ext_vector_type(8)));
  typedef float f32x4 __attribute__((ext_vector_type(4)));
  f32x8 eights = v.lo + v.hi;
  f32x4 fours = eights.lo + eights.hi;
  return (fours[0] + fours[2]) + (fours[1] + fours[3]);
}
/* Of each of four vectors, in this order and over and over, what `op` makes of all lanes: it is laid over lanes two apart, next to one
   another, four apart, eight apart. */
#define ATTENTION_FOLD(op, a, b, c, d) \
  __typeof__(a) ab = op(__builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29), \
                        __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)); \
  __typeof__(a) cd = op(__builtin_shufflevector(c, d, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29), \
                        __builtin_shufflevector(c, d, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)); \
  __typeof__(a) fours = op(__builtin_shufflevector(ab, cd, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29), \
                           __builtin_shufflevector(ab, cd, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)); \
  __typeof__(a) eights = op(fours, __builtin_shufflevector(fours, fours, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)); \
  return op(eights, __builtin_shufflevector(eights, eights, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7))
#define ATTENTION_GREATER(a, b) ((a) > (b) ? (a) : (b))
#define ATTENTION_SUM(a, b) ((a) + (b))
ATTENTION_INLINE attention_f32x16 attention_largest_of_four(attention_f32x16 a, attention_f32x16 b, attention_f32x16 c, attention_f32x16 d) { ATTENTION_FOLD(ATTENTION_GREATER, a, b, c, d); }
ATTENTION_INLINE attention_f32x16 attention_sums_of_four(attention_f32x16 a, attention_f32x16 b, attention_f32x16 c, attention_f32x16 d) { ATTENTION_FOLD(ATTENTION_SUM, a, b, c, d); }
ATTENTION_INLINE attention_i32x16 attention_integer_sums_of_four(attention_i32x16 a, attention_i32x16 b, attention_i32x16 c, attention_i32x16 d) { ATTENTION_FOLD(ATTENTION_SUM, a, b, c, d); }
/* The first, second, third or fourth lane of each four in all lanes of it. */
ATTENTION_INLINE attention_f32x16 attention_splat_of_four(attention_f32x16 v, int lane) {
  switch (lane) {
  case 0: return __builtin_shufflevector(v, v, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
  case 1: return __builtin_shufflevector(v, v, 1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13);
  case 2: return __builtin_shufflevector(v, v, 2, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10, 14, 14, 14, 14);
  default: return __builtin_shufflevector(v, v, 3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15);
  }
}
ATTENTION_INLINE attention_f32x16 attention_fours(float a, float b, float c, float d) { return (attention_f32x16){a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d}; }
ATTENTION_INLINE void attention_store_four(float *p, attention_f32x16 v) { for (int i = 0; i < 4; i++) p[i] = v[i]; }
/* below where v is less than the limit, other elsewhere, also where v is NaN */
ATTENTION_INLINE attention_f32x16 attention_where_below(attention_f32x16 v, float limit, attention_f32x16 below, attention_f32x16 other) { return v < limit ? below : other; }
/* a0, b0, a1, b1, ... of the first eights, and of the last ones. */
ATTENTION_INLINE attention_f32x16 attention_zip_first(attention_f32x16 a, attention_f32x16 b) { return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23); }
ATTENTION_INLINE attention_f32x16 attention_zip_last(attention_f32x16 a, attention_f32x16 b) { return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31); }
/* a0, a2, ... b0, b2, ... and a1, a3, ... b1, b3, ... */
ATTENTION_INLINE attention_f32x16 attention_unzip_even(attention_f32x16 a, attention_f32x16 b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30); }
ATTENTION_INLINE attention_f32x16 attention_unzip_odd(attention_f32x16 a, attention_f32x16 b) { return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31); }
ATTENTION_INLINE float attention_square_root(float x) { return __builtin_sqrtf(x); }

#define ATTENTION_STEP(p, f, c) ATTENTION_FMA(p, f, (attention_f32x16)(c))
/* 1 + c1 f + c2 f^2 + ... + c6 f^6; a macro, since a call with vectors would have an ABI */
#define ATTENTION_POLYNOMIAL(f, c1, c2, c3, c4, c5, c6) \
  ATTENTION_STEP(ATTENTION_STEP(ATTENTION_STEP(ATTENTION_STEP(ATTENTION_STEP( \
      ATTENTION_STEP((attention_f32x16)(c6), f, c5), f, c4), f, c3), f, c2), f, c1), f, 1.0f)
/* 2^x. AVX-512: 2 to the nearest thirty-second of x from a table, a polynomial of degree 2 from there (relative error 5.4e-8, 1.7e-7 with the
   roundings of the table and of the result, 0 on average): three multiplications instead of six; what else it takes, the ports of a product
   leave free. Others: a polynomial of degree 6 on [-1/2, 1/2] (1.9e-9 before rounding, 8e-8 after). 0 below about -150 (AVX-512) or -126.5
   (elsewhere), -infinity included; NaN stays NaN. x must not exceed 126. */
#if defined(__AVX512F__)
static const float attention_thirty_seconds[32] __attribute__((aligned(64))) = {
    1.0f,        1.0218972f,  1.04427373f, 1.06714046f, 1.09050775f, 1.1143868f,  1.13878858f, 1.1637249f,
    1.18920708f, 1.21524739f, 1.24185777f, 1.26905096f, 1.29683959f, 1.32523668f, 1.35425556f, 1.38390994f,
    1.41421354f, 1.44518077f, 1.47682619f, 1.50916445f, 1.54221082f, 1.5759809f,  1.61049032f, 1.64575553f,
    1.68179286f, 1.71861935f, 1.75625217f, 1.79470909f, 1.8340081f,  1.87416768f, 1.91520655f, 1.95714414f};
#endif
ATTENTION_INLINE attention_f32x16 attention_exp2(attention_f32x16 x) {
#if defined(__AVX512F__)
  __m512 f = _mm512_reduce_ps((__m512)x, 0x58); /* x less its nearest thirty-second; 0 for infinities */
  __m512i thirty_second = _mm512_castps_si512(_mm512_add_ps((__m512)x, _mm512_set1_ps(393216.0f)));
  __m512 base = _mm512_permutex2var_ps(
      _mm512_load_ps(attention_thirty_seconds), thirty_second, _mm512_load_ps(attention_thirty_seconds + 16));
  __m512 slope = _mm512_fmadd_ps(f, _mm512_set1_ps(0x1.ebfc6ep-3f), _mm512_set1_ps(0x1.62e584p-1f));
  __m512 p = _mm512_fmadd_ps(_mm512_mul_ps(f, base), slope, base);
  return (attention_f32x16)_mm512_scalef_ps(p, _mm512_roundscale_ps((__m512)x, 0x58)); /* p times 2 to the floor of it */
#else
  attention_f32x16 low = (attention_f32x16)(-127.0f), magic = (attention_f32x16)(12582912.0f + 127.0f);
  attention_f32x16 y = x < low ? low : x;          /* x itself where that is NaN */
  attention_f32x16 t = y + magic, f = y - (t - magic); /* the last eight bits of t: the exponent of a power of two, that of 0 for -127 */
  attention_f32x16 p = ATTENTION_POLYNOMIAL(
      f, 0x1.62e43p-1f, 0x1.ebfbdap-3f, 0x1.c6aed4p-5f, 0x1.3b2dbcp-7f, 0x1.5f456ap-10f, 0x1.41d334p-13f);
  return p * (attention_f32x16)((attention_u32x16)t << 23);
#endif
}
#if defined(__AVX512BF16__)
/* The same for results that are rounded to bf16: relative error 1.6e-4, 0 on average, where rounding leaves up to 2^-9.
   2 to the nearest sixteenth of x from a table, a tangent from there: one multiply-add, and what else it takes, the ports of a product leave free. */
static const float attention_sixteenths[16] __attribute__((aligned(64))) = {
    1.0000782f, 1.04435544f, 1.09059301f, 1.13887769f, 1.18930011f, 1.24195492f, 1.29694097f, 1.35436145f,
    1.41432415f, 1.47694163f, 1.54233142f, 1.61061627f, 1.68192434f, 1.7563895f, 1.8341515f, 1.91535633f};
static const float attention_sixteenths_slope[16] __attribute__((aligned(64))) = {
    0.693201384f, 0.723892031f, 0.755941469f, 0.789409857f, 0.824360018f, 0.860857554f, 0.898970974f, 0.938771819f,
    0.980334798f, 1.02373793f, 1.06906268f, 1.11639413f, 1.16582112f, 1.21743643f, 1.27133694f, 1.32762384f};
ATTENTION_INLINE attention_f32x16 attention_exp2_for_bfloat(attention_f32x16 x) {
  __m512 f = _mm512_reduce_ps((__m512)x, 0x48); /* x less its nearest sixteenth; 0 for infinities */
  __m512i sixteenth = _mm512_castps_si512(_mm512_add_ps((__m512)x, _mm512_set1_ps(786432.0f)));
  __m512 base = _mm512_permutexvar_ps(sixteenth, _mm512_load_ps(attention_sixteenths));
  __m512 slope = _mm512_permutexvar_ps(sixteenth, _mm512_load_ps(attention_sixteenths_slope));
  return (attention_f32x16)_mm512_scalef_ps(_mm512_fmadd_ps(slope, f, base), _mm512_roundscale_ps((__m512)x, 0x48));
}
/* Sixteen partial sums of 64 bf16 numbers: conversions to f32 and additions only. */
ATTENTION_INLINE attention_f32x16 attention_sum_pairs(attention_u32x16 a, attention_u32x16 b) {
  attention_u32x16 second = (attention_u32x16)(0xffff0000u);
  return ((attention_f32x16)(a << 16) + (attention_f32x16)(a & second)) +
         ((attention_f32x16)(b << 16) + (attention_f32x16)(b & second));
}
#endif

/* ---- f16 ---- */
#if !defined(__AVX512F__)
ATTENTION_INLINE attention_f32x8 attention_load_eight_halves(const void *p) {
#if defined(__F16C__)
  return (attention_f32x8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
#else
  attention_u32x8 h = __builtin_convertvector(*(const attention_u16x8_unaligned *)p, attention_u32x8);
  attention_u32x8 s = (h & 0x8000u) << 16, m = (h & 0x7fffu) << 13;
  attention_f32x8 f = (attention_f32x8)m * (attention_f32x8)(0x1p112f); /* rebias; exact for subnormals too */
  attention_u32x8 special = m | 0x7f800000u;                            /* Inf and NaN keep their fraction */
  return (attention_f32x8)((m >= 0x0f800000u ? special : (attention_u32x8)f) | s);
#endif
}
#endif
ATTENTION_INLINE attention_f32x16 attention_load_half(const void *p) {
#if defined(__AVX512F__)
  return (attention_f32x16)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#else
  return __builtin_shufflevector(
      attention_load_eight_halves(p), attention_load_eight_halves((const char *)p + 16), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#endif
}
/* Nearest even; overflow to infinity; NaN stays NaN. */
ATTENTION_INLINE uint16_t attention_half_bits(float x) {
#if defined(__F16C__)
  return (uint16_t)_cvtss_sh(x, 0);
#else
  uint32_t u;
  memcpy(&u, &x, 4);
  uint32_t s = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  if (a > 0x7f800000u) return (uint16_t)(s | 0x7e00u | ((a >> 13) & 0x3ffu));
  if (a >= 0x477ff000u) return (uint16_t)(s | 0x7c00u);
  if (a < 0x38800000u) { /* subnormal: adding 2^-1 puts the result in the low bits, rounded by the FPU */
    float f;
    memcpy(&f, &a, 4);
    f += 0.5f;
    memcpy(&a, &f, 4);
    return (uint16_t)(s | (a - 0x3f000000u));
  }
  a += 0x0fffu + ((a >> 13) & 1u);
  return (uint16_t)(s | ((a - 0x38000000u) >> 13));
#endif
}
ATTENTION_INLINE float attention_half_value(uint16_t h) {
#if defined(__F16C__)
  return _cvtsh_ss(h);
#else
  uint32_t m = (uint32_t)(h & 0x7fffu) << 13, s = (uint32_t)(h & 0x8000u) << 16, b;
  float f, r;
  memcpy(&f, &m, 4);
  f *= 0x1p112f; /* rebias; exact for subnormals too */
  memcpy(&b, &f, 4);
  b = (m >= 0x0f800000u ? m | 0x7f800000u : b) | s;
  memcpy(&r, &b, 4);
  return r;
#endif
}
ATTENTION_INLINE void attention_store_half(void *p, attention_f32x16 v) {
#if defined(__AVX512F__)
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph((__m512)v, 0));
#else
  uint16_t h[16];
  for (int i = 0; i < 16; i++) h[i] = attention_half_bits(v[i]);
  memcpy(p, h, 32);
#endif
}

/* ---- bf16: pairs in 32-bit lanes, the first of a pair in the low half ---- */
ATTENTION_INLINE attention_u32x16 attention_load_pairs(const void *p) { return *(const attention_u32x16_unaligned *)p; }
ATTENTION_INLINE void attention_store_pairs(void *p, attention_u32x16 v) { *(attention_u32x16_unaligned *)p = v; }
ATTENTION_INLINE attention_u32x16 attention_splat_pair(const void *p) { uint32_t w; memcpy(&w, p, 4); return (attention_u32x16)(w); }
ATTENTION_INLINE attention_u32x16 attention_mask_pairs(attention_u32x16 a, uint32_t mask) { return a & mask; }
ATTENTION_INLINE attention_f32x16 attention_first_of_pairs(attention_u32x16 a) { return (attention_f32x16)(a << 16); }
ATTENTION_INLINE attention_f32x16 attention_second_of_pairs(attention_u32x16 a) { return (attention_f32x16)(a & 0xffff0000u); }
/* Nearest even; NaN stays NaN. In the low half of each lane. */
ATTENTION_INLINE attention_u32x16 attention_bfloat_bits(attention_f32x16 v) {
  attention_u32x16 b = (attention_u32x16)v;
  attention_u32x16 r = (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
  return v == v ? r : ((b >> 16) | 0x40u);
}
ATTENTION_INLINE uint16_t attention_bfloat_bit(float x) {
  uint32_t b;
  memcpy(&b, &x, 4);
  if (x != x) return (uint16_t)((b >> 16) | 0x40u);
  return (uint16_t)((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}
/* lane i: bf16(first[i]) | bf16(second[i]) << 16 */
ATTENTION_INLINE attention_u32x16 attention_pair(attention_f32x16 first, attention_f32x16 second) {
  return attention_bfloat_bits(first) | (attention_bfloat_bits(second) << 16);
}
ATTENTION_INLINE void attention_store_bfloat(void *p, attention_f32x16 v) {
#if defined(__AVX512BF16__)
  _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
  *(attention_u16x16_unaligned *)p = __builtin_convertvector(attention_bfloat_bits(v), attention_u16x16);
#endif
}
#if defined(__AVX512BF16__)
#define ATTENTION_HAS_BFLOAT_DOT 1
/* 32 numbers in bf16: lane i a first and a second one, as attention_pair but for denormals, which become 0; or all of one vector,
   then all of another. */
ATTENTION_INLINE attention_u32x16 attention_pair_bfloats(attention_f32x16 first, attention_f32x16 second) {
  __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)first));
  __m512i b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)second));
  return (attention_u32x16)_mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}
ATTENTION_INLINE attention_u32x16 attention_pack_bfloats(attention_f32x16 a, attention_f32x16 b) { return (attention_u32x16)(__m512i)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a); }
ATTENTION_INLINE attention_f32x16 attention_dot_pairs(attention_f32x16 c, attention_u32x16 a, attention_u32x16 b) {
  return (attention_f32x16)_mm512_dpbf16_ps((__m512)c, (__m512bh)(__m512i)a, (__m512bh)(__m512i)b);
}
#else
#define ATTENTION_HAS_BFLOAT_DOT 0
ATTENTION_INLINE attention_f32x16 attention_dot_pairs(attention_f32x16 c, attention_u32x16 a, attention_u32x16 b) {
  c = ATTENTION_FMA(attention_first_of_pairs(a), attention_first_of_pairs(b), c);
  return ATTENTION_FMA(attention_second_of_pairs(a), attention_second_of_pairs(b), c);
}
#endif

/* ---- what the tiles of f32, f16 and bf16 multiply: sixteen lanes with AVX-512; eight elsewhere, so that a tile may be 24 columns
   wide, or 8, where there are sixteen registers ---- */
#if defined(__AVX512F__)
#define ATTENTION_TILE_LANES 16
typedef attention_f32x16 attention_tile_f32;
typedef attention_u32x16 attention_tile_u32;
ATTENTION_INLINE attention_tile_f32 attention_tile_load_half(const void *p) { return attention_load_half(p); }
#else
#define ATTENTION_TILE_LANES 8
typedef attention_f32x8 attention_tile_f32;
typedef attention_u32x8 attention_tile_u32;
ATTENTION_INLINE attention_tile_f32 attention_tile_load_half(const void *p) { return attention_load_eight_halves(p); }
#endif
typedef attention_tile_f32 attention_tile_f32_unaligned __attribute__((aligned(4)));
typedef attention_tile_u32 attention_tile_u32_unaligned __attribute__((aligned(4)));
ATTENTION_INLINE attention_tile_f32 attention_tile_splat(float x) { return (attention_tile_f32)(x); }
ATTENTION_INLINE attention_tile_f32 attention_tile_load(const void *p) { return *(const attention_tile_f32_unaligned *)p; }
ATTENTION_INLINE void attention_tile_store(void *p, attention_tile_f32 v) { *(attention_tile_f32_unaligned *)p = v; }
ATTENTION_INLINE attention_tile_f32 attention_tile_fma(attention_tile_f32 a, attention_tile_f32 b, attention_tile_f32 c) { return ATTENTION_FMA(a, b, c); }
ATTENTION_INLINE attention_tile_f32 attention_tile_first_of_pairs(const void *p) { return (attention_tile_f32)(*(const attention_tile_u32_unaligned *)p << 16); }
/* Volatile: what was read for the first ones would stay in registers that the sums need. */
ATTENTION_INLINE attention_tile_f32 attention_tile_second_of_pairs(const void *p) { return (attention_tile_f32)(*(const volatile attention_tile_u32_unaligned *)p & 0xffff0000u); }

/* ---- int8: fours in 32-bit lanes ---- */
#if defined(__AVX512VNNI__)
#define ATTENTION_HAS_BYTE_DOT 1
/* c + a0·b0 + … + a3·b3, a unsigned, b signed */
ATTENTION_INLINE attention_u32x16 attention_dot_bytes(attention_u32x16 c, attention_u32x16 a, attention_u32x16 b) { return (attention_u32x16)_mm512_dpbusd_epi32((__m512i)c, (__m512i)a, (__m512i)b); }
#else
#define ATTENTION_HAS_BYTE_DOT 0
#endif

/* ---- weights in 4 or 8 bits: four unsigned codes in each 32-bit lane, times four signed ones ---- */
ATTENTION_INLINE attention_u32x16 attention_low_nibbles(attention_u32x16 a) { return a & 0x0f0f0f0fu; }
ATTENTION_INLINE attention_u32x16 attention_high_nibbles(attention_u32x16 a) { return (a >> 4) & 0x0f0f0f0fu; }
ATTENTION_INLINE attention_f32x16 attention_from_integers(attention_i32x16 a) { return __builtin_convertvector(a, attention_f32x16); }
ATTENTION_INLINE attention_f32x16 attention_splat_at(const void *p) { float x; memcpy(&x, p, 4); return (attention_f32x16)(x); }
ATTENTION_INLINE attention_i32x16 attention_splat_integer_at(const void *p) { int32_t x; memcpy(&x, p, 4); return (attention_i32x16)(x); }
ATTENTION_INLINE attention_f32x16 attention_as_floats(attention_i32x16 a) { return (attention_f32x16)a; }
ATTENTION_INLINE attention_i32x16 attention_as_integers(attention_f32x16 v) { return (attention_i32x16)v; }
ATTENTION_INLINE attention_f32x16 attention_from_bits(attention_u32x16 a) { return (attention_f32x16)a; }
/* Of lanes 2i and 2i + 1 the larger one, in both. */
ATTENTION_INLINE attention_u32x16 attention_larger_of_neighbours(attention_u32x16 a) {
  attention_u32x16 b = __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
  return a > b ? a : b;
}
/* How often the larger number can be halved and still be no smaller than the other one, at most 7 times; both by the bits of positive ones. */
ATTENTION_INLINE attention_u32x16 attention_halvings(attention_u32x16 own, attention_u32x16 larger) {
  attention_u32x16 n = (larger - own) >> 23, most = (attention_u32x16)(7);
  return n < most ? n : most;
}
/* v / 2^n, for normal results */
ATTENTION_INLINE attention_f32x16 attention_halved(attention_f32x16 v, attention_u32x16 n) { return (attention_f32x16)((attention_u32x16)v - (n << 23)); }
/* c + the sum of the four products of a lane, exactly; codes unsigned, factors signed */
#if defined(__AVX512VNNI__)
ATTENTION_INLINE attention_i32x16 attention_dot_codes(attention_i32x16 c, attention_u32x16 codes, attention_u32x16 factors) {
  return (attention_i32x16)_mm512_dpbusd_epi32((__m512i)c, (__m512i)codes, (__m512i)factors);
}
#else
/* a·b of the two signed 16-bit halves of a lane, added */
ATTENTION_INLINE attention_i32x16 attention_dot_halves(attention_u32x16 a, attention_u32x16 b) {
#if defined(__AVX512BW__)
  return (attention_i32x16)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__x86_64__)
  union { attention_u32x16 whole; __m128i part[4]; } x, y, z;
  x.whole = a, y.whole = b;
#if defined(__AVX2__)
  for (int i = 0; i < 2; i++) ((__m256i *)z.part)[i] = _mm256_madd_epi16(((__m256i *)x.part)[i], ((__m256i *)y.part)[i]);
#else
  for (int i = 0; i < 4; i++) z.part[i] = _mm_madd_epi16(x.part[i], y.part[i]);
#endif
  return (attention_i32x16)z.whole;
#else
  attention_i32x16 p = (attention_i32x16)a, q = (attention_i32x16)b;
  return ((p << 16) >> 16) * ((q << 16) >> 16) + (p >> 16) * (q >> 16);
#endif
}
/* Even bytes, then odd ones, as 16-bit numbers: none of the products can saturate. */
ATTENTION_INLINE attention_i32x16 attention_dot_codes(attention_i32x16 c, attention_u32x16 codes, attention_u32x16 factors) {
  typedef int16_t i16x32 __attribute__((ext_vector_type(32)));
  i16x32 even = ((i16x32)factors << 8) >> 8, odd = (i16x32)factors >> 8;
  c += attention_dot_halves(codes & 0x00ff00ffu, (attention_u32x16)even);
  return c + attention_dot_halves((codes >> 8) & 0x00ff00ffu, (attention_u32x16)odd);
}
#endif
/* How a sum of codes / 2^n becomes a number of units, what the second function says. Without VNNI 2^(7-n), in both 16-bit halves: the
   sum's own halves are weighed with them. Elsewhere the bits of 1.5 * 2^23 / 2^n: with an integer below 2^22 added they are those of
   that number + the integer / 2^n. */
#if defined(__AVX2__) && !defined(__AVX512VNNI__)
ATTENTION_INLINE attention_u32x16 attention_code_joins(attention_u32x16 n) { return (attention_u32x16)(0x00800080u) >> n; }
ATTENTION_INLINE float attention_join_unit(void) { return 0x1p-7f; }
ATTENTION_INLINE attention_f32x16 attention_weight_of_half(const void *p) { int16_t w; memcpy(&w, p, 2); return (attention_f32x16)((float)w); }
ATTENTION_INLINE attention_i32x16 attention_weigh_halves(attention_i32x16 a, attention_u32x16 weights) { return attention_dot_halves((attention_u32x16)a, weights); }
/* c + the sums of two products, in 16 bits; codes below 16, factors signed */
ATTENTION_INLINE attention_i32x16 attention_dot_nibbles(attention_i32x16 c, attention_u32x16 codes, attention_u32x16 factors) {
#if defined(__AVX512BW__)
  return (attention_i32x16)_mm512_add_epi16((__m512i)c, _mm512_maddubs_epi16((__m512i)codes, (__m512i)factors));
#else
  union { attention_u32x16 whole; __m256i part[2]; } x, y, z;
  x.whole = codes, y.whole = factors, z.whole = (attention_u32x16)c;
  for (int i = 0; i < 2; i++) z.part[i] = _mm256_add_epi16(z.part[i], _mm256_maddubs_epi16(x.part[i], y.part[i]));
  return (attention_i32x16)z.whole;
#endif
}
/* What was computed so far, now: with AVX2 the compiler would put the second halves of many steps off, and what they read on the stack. */
ATTENTION_INLINE attention_i32x16 attention_settle(attention_i32x16 v) {
#if !defined(__AVX512BW__)
  union { attention_i32x16 whole; __m256i part[2]; } z;
  z.whole = v;
  __asm__ volatile("" : "+x"(z.part[0]), "+x"(z.part[1]));
  v = z.whole;
#endif
  return v;
}
#else
ATTENTION_INLINE attention_u32x16 attention_code_joins(attention_u32x16 n) { return (attention_u32x16)attention_halved((attention_f32x16)(0x1.8p23f), n); }
ATTENTION_INLINE float attention_join_unit(void) { return 1; }
#endif
/* The largest magnitude; NaN if there is one. */
ATTENTION_INLINE float attention_largest_magnitude(attention_f32x16 v) {
  attention_u32x16 a = (attention_u32x16)v & 0x7fffffffu;
#if defined(__AVX512F__)
  uint32_t m = _mm512_reduce_max_epu32((__m512i)a);
#else
  uint32_t m = 0;
  for (int i = 0; i < 16; i++) m = m > a[i] ? m : a[i];
#endif
  float f;
  memcpy(&f, &m, 4);
  return f;
}
/* To the nearest integer, ties to even; for magnitudes below 2^22. */
ATTENTION_INLINE attention_i32x16 attention_round_to_integers(attention_f32x16 v) { return (attention_i32x16)(v + 12582912.0f) - 0x4b400000; }
/* The product likewise. */
ATTENTION_INLINE attention_i32x16 attention_round_product(attention_f32x16 a, attention_f32x16 b) { return (attention_i32x16)ATTENTION_FMA(a, b, (attention_f32x16)(12582912.0f)) - 0x4b400000; }
/* The low bytes of the lanes. */
ATTENTION_INLINE void attention_store_bytes(void *p, attention_i32x16 v) {
#if defined(__AVX512F__)
  _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)v));
#else
  typedef int8_t i8x16 __attribute__((ext_vector_type(16), aligned(1)));
  *(i8x16 *)p = __builtin_convertvector(v, i8x16);
#endif
}

/* ---- quantised pages: codes of 4 or 8 bits, times signed factors of up to 16 bits ---- */
/* The code that stands in this many bits of each lane from `shift` on. */
ATTENTION_INLINE attention_i32x16 attention_code(attention_u32x16 a, int shift, uint32_t mask) { return (attention_i32x16)((a >> shift) & mask); }
ATTENTION_INLINE attention_u32x16 attention_place_code(attention_u32x16 a, attention_i32x16 code, int shift) { return a | ((attention_u32x16)code << shift); }
ATTENTION_INLINE attention_u32x16 attention_shifted_bytes(attention_u32x16 a, int shift, uint32_t mask) { return (a >> shift) & mask; }
ATTENTION_INLINE attention_i32x16 attention_add_integers(attention_i32x16 a, attention_i32x16 b) { return a + b; }
/* 256·high + low */
ATTENTION_INLINE attention_i32x16 attention_join_bytes(attention_i32x16 high, attention_i32x16 low) { return (high << 8) + low; }
/* 16 factors of at most 127·256 + 127 as 32 bytes, 8 for each four of them: x0 … x3 = 256·h + l as h0 h1 h2 h3 l0 l1 l2 l3 for the dot
   product of bytes, as x0 x2 x1 x3 in 16 bits elsewhere. */
ATTENTION_INLINE void attention_store_factors(void *p, attention_i32x16 v) {
#if defined(__AVX512VNNI__)
  /* bytes 1 and 0 of x + 128 are h and l + 128 */
  __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(1, 5, 9, 13, 0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0));
  __m512i bytes = _mm512_shuffle_epi8((__m512i)(v + 128), order) ^ _mm512_set1_epi64((long long)0x8080808000000000ull);
  _mm256_storeu_si256((__m256i *)p, _mm512_castsi512_si256(_mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 0, 0, 0, 0), bytes)));
#else
  typedef int16_t i16x16 __attribute__((ext_vector_type(16)));
  i16x16 x = __builtin_convertvector(v, i16x16);
  x = __builtin_shufflevector(x, x, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
  memcpy(p, &x, 32);
#endif
}

/* Asks for a cache line, into all levels of cache or all but the first; any address is allowed. */
ATTENTION_INLINE void attention_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
ATTENTION_INLINE void attention_prefetch_far(const void *p) { __builtin_prefetch(p, 0, 2); }

/* Whether the processor is Intel's: those want to be asked for memory ahead, widen halves on the ports that
   multiply, and run the bf16 dot product at half the rate. */
static inline int attention_is_intel(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return __get_cpuid(0, &a, &b, &c, &d) && b == 0x756e6547u && d == 0x49656e69u && c == 0x6c65746eu;
#else
  return 0;
#endif
}

/* Whether it is AMD's of family 1Ah (Zen 5) or later: those too gain by requests. */
static inline int attention_is_zen5(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if (!__get_cpuid(0, &a, &b, &c, &d) || b != 0x68747541u || d != 0x69746e65u || c != 0x444d4163u) return 0;
  return __get_cpuid(1, &a, &b, &c, &d) && (a >> 8 & 15) == 15 && 15 + (a >> 20 & 255) >= 0x1a;
#else
  return 0;
#endif
}

/* 0 = any CPU, 1 = x86-64-v3, 2 = x86-64-v4, 3 = x86-64-v4 with VNNI and BF16; registers saved by the system. */
static inline int attention_instruction_set_level(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d, low, high, b7, c7, d7;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  unsigned need1 = 1u << 12 | 1u << 22 | 1u << 23 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA MOVBE POPCNT OSXSAVE AVX F16C */
  if ((c & need1) != need1) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 0x06) != 0x06) return 0;
  if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !(c & (1u << 5))) return 0; /* LZCNT */
  if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return 0;
  unsigned need7 = 1u << 3 | 1u << 5 | 1u << 8; /* BMI1 AVX2 BMI2 */
  if ((b7 & need7) != need7) return 0;
  unsigned need512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* F DQ CD BW VL */
  if ((b7 & need512) != need512 || (low & 0xe6) != 0xe6) return 1;
  if (!(c7 & (1u << 11)) || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & (1u << 5))) return 2; /* VNNI BF16 */
  return 3;
#else
  return 0;
#endif
}
