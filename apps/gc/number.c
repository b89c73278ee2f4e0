/*
 * Numbers: exact integers of 63 bits (fixnums) and doubles (flonums). There are no bignums and no ratios: what is too
 * large for a fixnum becomes a flonum, and so does a quotient that is not whole.
 *
 * Nobody here looks at a value after having allocated, so results may be made at any time.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prims.h"
#include "symbol.h"
#include "text.h"

/* --- The four operations --- */

static bool both_numbers(struct thread *t, value a, value b)
{
    if (is_number(a) && is_number(b))
        return true;
    wrong_type(t, "a number", is_number(a) ? b : a);
    return false;
}

value number_add(struct thread *t, value a, value b)
{
    intptr_t sum;
    if (!both_numbers(t, a, b))
        return FAILED;
    if (is_fixnum(a) && is_fixnum(b) && !__builtin_add_overflow((intptr_t)a - 1, (intptr_t)b, &sum))
        return sum;
    return make_flonum(t, number_double(a) + number_double(b));
}

value number_subtract(struct thread *t, value a, value b)
{
    intptr_t difference;
    if (!both_numbers(t, a, b))
        return FAILED;
    if (is_fixnum(a) && is_fixnum(b) && !__builtin_sub_overflow((intptr_t)a, (intptr_t)b - 1, &difference))
        return difference;
    return make_flonum(t, number_double(a) - number_double(b));
}

value number_multiply(struct thread *t, value a, value b)
{
    intptr_t product;
    if (!both_numbers(t, a, b))
        return FAILED;
    if (is_fixnum(a) && is_fixnum(b) && !__builtin_mul_overflow((intptr_t)a - 1, fixnum_value(b), &product))
        return product + 1;
    return make_flonum(t, number_double(a) * number_double(b));
}

static value number_divide(struct thread *t, value a, value b)
{
    if (!both_numbers(t, a, b))
        return FAILED;
    if (is_fixnum(a) && is_fixnum(b)) {
        if (b == fixnum(0))
            return fail(t, "division by zero", a);
        if (fixnum_value(a) % fixnum_value(b) == 0 && fits_fixnum(fixnum_value(a) / fixnum_value(b)))
            return fixnum(fixnum_value(a) / fixnum_value(b));
    }
    return make_flonum(t, number_double(a) / number_double(b));
}

int number_compare(struct thread *t, value a, value b)
{
    if (is_fixnum(a) && is_fixnum(b))
        return (intptr_t)a < (intptr_t)b ? -1 : a != b;
    if (!both_numbers(t, a, b))
        return 3;
    double x = number_double(a), y = number_double(b);
    if (isnan(x) || isnan(y))
        return 2;
    return x < y ? -1 : x > y;
}

/* --- Text --- */

value parse_number(struct thread *t, const char *text, int radix)
{
    bool inexact = false, exact = false;
    while (text[0] == '#' && text[1]) {
        switch (tolower((unsigned char)text[1])) {
        case 'x':
            radix = 16;
            break;
        case 'b':
            radix = 2;
            break;
        case 'o':
            radix = 8;
            break;
        case 'd':
            radix = 10;
            break;
        case 'e':
            exact = true;
            break;
        case 'i':
            inexact = true;
            break;
        default:
            return FALSE;
        }
        text += 2;
    }
    if (!strcasecmp(text, "+inf.0") || !strcasecmp(text, "-inf.0"))
        return make_flonum(t, text[0] == '-' ? -INFINITY : INFINITY);
    if (!strcasecmp(text, "+nan.0") || !strcasecmp(text, "-nan.0"))
        return make_flonum(t, NAN);
    const char *digits = text + (text[0] == '+' || text[0] == '-');
    if (!isalnum((unsigned char)digits[0]) && !(digits[0] == '.' && isdigit((unsigned char)digits[1])))
        return FALSE;
    char *end;
    long long n = strtoll(text, &end, radix);
    double d;
    if (*end == '/' && end != text && isalnum((unsigned char)end[1])) {
        char *last;
        long long below = strtoll(end + 1, &last, radix);
        if (*last || (below == 0 && !inexact))
            return FALSE;
        if (below && n % below == 0 && !inexact)
            return fixnum(n / below);
        return make_flonum(t, (double)n / below);
    }
    if (!*end && fits_fixnum(n) && !(digits[0] == '0' && tolower((unsigned char)digits[1]) == 'x'))
        return inexact ? make_flonum(t, n) : fixnum(n);
    if (radix != 10) {
        if (*end)
            return FALSE;
        for (d = 0; isalnum((unsigned char)*digits); digits++)
            d = d * radix +
                (isdigit((unsigned char)*digits) ? *digits - '0' : tolower((unsigned char)*digits) - 'a' + 10);
        return make_flonum(t, text[0] == '-' ? -d : d);
    }
    if (strspn(text, "0123456789.eE+-") != strlen(text))
        return FALSE;
    d = strtod(text, &end);
    if (*end)
        return FALSE;
    if (exact && d == floor(d) && fabs(d) < 4e18)
        return fixnum((intptr_t)d);
    return make_flonum(t, d);
}

static void format_fixnum(intptr_t n, int radix, char *text)
{
    char digits[70];
    size_t count = 0;
    uintptr_t left = n < 0 ? -(uintptr_t)n : (uintptr_t)n;
    do
        digits[count++] = "0123456789abcdefghijklmnopqrstuvwxyz"[left % radix];
    while ((left /= radix));
    if (n < 0)
        *text++ = '-';
    while (count)
        *text++ = digits[--count];
    *text = '\0';
}

void format_number(value v, int radix, char *text)
{
    if (is_fixnum(v)) {
        format_fixnum(fixnum_value(v), radix, text);
        return;
    }
    double d = flonum_value(v);
    if (isnan(d) || isinf(d)) {
        strcpy(text, isnan(d) ? "+nan.0" : d > 0 ? "+inf.0" : "-inf.0");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 40, "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
}

/* --- Primitives --- */

static value fold(struct thread *t, size_t count, value *args, value start,
                  value (*operation)(struct thread *t, value a, value b))
{
    value result = start;
    for (size_t i = 0; i < count; i++) {
        result = operation(t, result, args[i]);
        if (result == FAILED)
            break;
    }
    return result;
}

static value prim_add(struct thread *t, size_t count, value *args)
{
    return fold(t, count, args, fixnum(0), number_add);
}
static value prim_multiply(struct thread *t, size_t count, value *args)
{
    return fold(t, count, args, fixnum(1), number_multiply);
}
static value prim_subtract(struct thread *t, size_t count, value *args)
{
    if (count == 1)
        return number_subtract(t, fixnum(0), args[0]);
    return fold(t, count - 1, args + 1, args[0], number_subtract);
}
static value prim_divide(struct thread *t, size_t count, value *args)
{
    if (count == 1)
        return number_divide(t, fixnum(1), args[0]);
    return fold(t, count - 1, args + 1, args[0], number_divide);
}

static value compare_all(struct thread *t, size_t count, value *args, bool less, bool equal, bool greater)
{
    bool all = true;
    if (count == 1 && !is_number(args[0]))
        return wrong_type(t, "a number", args[0]);
    for (size_t i = 0; i + 1 < count; i++) {
        int order = number_compare(t, args[i], args[i + 1]);
        if (order == 3)
            return FAILED;
        all &= order == -1 ? less : order == 0 ? equal : order == 1 ? greater : false;
    }
    return boolean(all);
}
static value prim_same(struct thread *t, size_t n, value *a) { return compare_all(t, n, a, false, true, false); }
static value prim_less(struct thread *t, size_t n, value *a) { return compare_all(t, n, a, true, false, false); }
static value prim_greater(struct thread *t, size_t n, value *a) { return compare_all(t, n, a, false, false, true); }
static value prim_not_greater(struct thread *t, size_t n, value *a) { return compare_all(t, n, a, true, true, false); }
static value prim_not_less(struct thread *t, size_t n, value *a) { return compare_all(t, n, a, false, true, true); }

static bool is_whole(value v)
{
    return is_fixnum(v) ||
           (has_type(v, FLONUM) && flonum_value(v) == floor(flonum_value(v)) && isfinite(flonum_value(v)));
}

enum division { FLOOR_QUOTIENT, FLOOR_REMAINDER, QUOTIENT, REMAINDER };

static value divide_whole(struct thread *t, value a, value b, enum division which)
{
    if (!is_whole(a) || !is_whole(b))
        return wrong_type(t, "an integer", is_whole(a) ? b : a);
    if (number_double(b) == 0)
        return fail(t, "division by zero", a);
    if (is_fixnum(a) && is_fixnum(b)) {
        intptr_t x = fixnum_value(a), y = fixnum_value(b), q = x / y, r = x % y;
        if ((which == FLOOR_QUOTIENT || which == FLOOR_REMAINDER) && r && (r < 0) != (y < 0)) {
            q--;
            r += y;
        }
        intptr_t result = which == FLOOR_QUOTIENT || which == QUOTIENT ? q : r;
        return fits_fixnum(result) ? fixnum(result) : make_flonum(t, result);
    }
    double x = number_double(a), y = number_double(b);
    switch (which) {
    case FLOOR_QUOTIENT:
        return make_flonum(t, floor(x / y));
    case FLOOR_REMAINDER:
        return make_flonum(t, x - y * floor(x / y));
    case QUOTIENT:
        return make_flonum(t, trunc(x / y));
    default:
        return make_flonum(t, fmod(x, y));
    }
}
static value prim_quotient(struct thread *t, size_t n, value *a)
{
    return (void)n, divide_whole(t, a[0], a[1], QUOTIENT);
}
static value prim_remainder(struct thread *t, size_t n, value *a)
{
    return (void)n, divide_whole(t, a[0], a[1], REMAINDER);
}
static value prim_floor_quotient(struct thread *t, size_t n, value *a)
{
    return (void)n, divide_whole(t, a[0], a[1], FLOOR_QUOTIENT);
}
static value prim_modulo(struct thread *t, size_t n, value *a)
{
    return (void)n, divide_whole(t, a[0], a[1], FLOOR_REMAINDER);
}

static value rounded(struct thread *t, value v, double (*function)(double))
{
    if (is_fixnum(v))
        return v;
    if (!has_type(v, FLONUM))
        return wrong_type(t, "a number", v);
    return make_flonum(t, function(flonum_value(v)));
}
static value prim_floor(struct thread *t, size_t n, value *a) { return (void)n, rounded(t, a[0], floor); }
static value prim_ceiling(struct thread *t, size_t n, value *a) { return (void)n, rounded(t, a[0], ceil); }
static value prim_truncate(struct thread *t, size_t n, value *a) { return (void)n, rounded(t, a[0], trunc); }
static value prim_round(struct thread *t, size_t n, value *a) { return (void)n, rounded(t, a[0], rint); }

static value real(struct thread *t, value v, double (*function)(double))
{
    return is_number(v) ? make_flonum(t, function(number_double(v))) : wrong_type(t, "a number", v);
}
static value prim_exp(struct thread *t, size_t n, value *a) { return (void)n, real(t, a[0], exp); }
static value prim_sin(struct thread *t, size_t n, value *a) { return (void)n, real(t, a[0], sin); }
static value prim_cos(struct thread *t, size_t n, value *a) { return (void)n, real(t, a[0], cos); }
static value prim_tan(struct thread *t, size_t n, value *a) { return (void)n, real(t, a[0], tan); }
static value prim_asin(struct thread *t, size_t n, value *a) { return (void)n, real(t, a[0], asin); }
static value prim_acos(struct thread *t, size_t n, value *a) { return (void)n, real(t, a[0], acos); }
static value prim_log(struct thread *t, size_t n, value *a)
{
    if (n == 1 || !is_number(a[0]) || !is_number(a[1]))
        return real(t, n == 1 || !is_number(a[0]) ? a[0] : a[1], log);
    return make_flonum(t, log(number_double(a[0])) / log(number_double(a[1])));
}
static value prim_atan(struct thread *t, size_t n, value *a)
{
    if (n == 1 || !is_number(a[0]) || !is_number(a[1]))
        return real(t, n == 1 || !is_number(a[0]) ? a[0] : a[1], atan);
    return make_flonum(t, atan2(number_double(a[0]), number_double(a[1])));
}

static intptr_t whole_root(intptr_t n)
{
    intptr_t root = (intptr_t)sqrt((double)n);
    while (root > 0 && root > n / root)
        root--;
    while (root + 1 <= n / (root + 1))
        root++;
    return root;
}

static value prim_sqrt(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (is_fixnum(a[0]) && fixnum_value(a[0]) >= 0) {
        intptr_t root = whole_root(fixnum_value(a[0]));
        if (root * root == fixnum_value(a[0]))
            return fixnum(root);
    }
    return real(t, a[0], sqrt);
}

static value prim_exact_root(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (!is_fixnum(a[0]) || fixnum_value(a[0]) < 0)
        return wrong_type(t, "an exact integer that is not negative", a[0]);
    return fixnum(whole_root(fixnum_value(a[0])));
}

static value prim_expt(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (!both_numbers(t, a[0], a[1]))
        return FAILED;
    if (is_fixnum(a[0]) && is_fixnum(a[1]) && fixnum_value(a[1]) >= 0) {
        intptr_t result = 1, base = fixnum_value(a[0]), left = fixnum_value(a[1]);
        bool overflow = false;
        for (; left && !overflow; left >>= 1) {
            if (left & 1)
                overflow = __builtin_mul_overflow(result, base, &result);
            if (left > 1 && !overflow)
                overflow = __builtin_mul_overflow(base, base, &base);
        }
        if (!overflow && fits_fixnum(result))
            return fixnum(result);
    }
    return make_flonum(t, pow(number_double(a[0]), number_double(a[1])));
}

static value prim_exact(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (is_fixnum(a[0]))
        return a[0];
    if (!is_number(a[0]))
        return wrong_type(t, "a number", a[0]);
    double d = flonum_value(a[0]);
    if (d != floor(d) || !(fabs(d) < 4.6e18))
        return fail(t, "no exact number of this implementation", a[0]);
    return fixnum((intptr_t)d);
}
static value prim_inexact(struct thread *t, size_t n, value *a)
{
    (void)n;
    return is_fixnum(a[0])   ? make_flonum(t, fixnum_value(a[0]))
           : is_number(a[0]) ? a[0]
                             : wrong_type(t, "a number", a[0]);
}

static value prim_is_number(struct thread *t, size_t n, value *a) { return (void)t, (void)n, boolean(is_number(a[0])); }
static value prim_is_integer(struct thread *t, size_t n, value *a) { return (void)t, (void)n, boolean(is_whole(a[0])); }
static value prim_is_rational(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, boolean(is_number(a[0]) && isfinite(number_double(a[0])));
}
static value prim_is_fixnum(struct thread *t, size_t n, value *a) { return (void)t, (void)n, boolean(is_fixnum(a[0])); }
static value prim_is_exact(struct thread *t, size_t n, value *a)
{
    return (void)n, is_number(a[0]) ? boolean(is_fixnum(a[0])) : wrong_type(t, "a number", a[0]);
}
static value prim_is_inexact(struct thread *t, size_t n, value *a)
{
    return (void)n, is_number(a[0]) ? boolean(!is_fixnum(a[0])) : wrong_type(t, "a number", a[0]);
}
static value prim_is_nan(struct thread *t, size_t n, value *a)
{
    return (void)n, is_number(a[0]) ? boolean(isnan(number_double(a[0]))) : wrong_type(t, "a number", a[0]);
}
static value prim_is_infinite(struct thread *t, size_t n, value *a)
{
    return (void)n, is_number(a[0]) ? boolean(isinf(number_double(a[0]))) : wrong_type(t, "a number", a[0]);
}

enum bits { AND, OR, XOR };
static value bitwise(struct thread *t, size_t n, value *a, enum bits which)
{
    intptr_t result = which == AND ? -1 : 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_fixnum(a[i]))
            return wrong_type(t, "an exact integer", a[i]);
        intptr_t x = fixnum_value(a[i]);
        result = which == AND ? result & x : which == OR ? result | x : result ^ x;
    }
    return fixnum(result);
}
static value prim_and(struct thread *t, size_t n, value *a) { return bitwise(t, n, a, AND); }
static value prim_or(struct thread *t, size_t n, value *a) { return bitwise(t, n, a, OR); }
static value prim_xor(struct thread *t, size_t n, value *a) { return bitwise(t, n, a, XOR); }
static value prim_shift(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (!is_fixnum(a[0]) || !is_fixnum(a[1]))
        return wrong_type(t, "an exact integer", is_fixnum(a[0]) ? a[1] : a[0]);
    intptr_t by = fixnum_value(a[1]);
    if (by <= 0)
        return fixnum(fixnum_value(a[0]) >> (by < -63 ? 63 : -by));
    if (by > 61)
        return a[0] == fixnum(0) ? a[0] : make_flonum(t, ldexp(number_double(a[0]), by));
    return number_multiply(t, a[0], fixnum((intptr_t)1 << by));
}

static value prim_to_string(struct thread *t, size_t n, value *a)
{
    char text[100];
    size_t radix = 10;
    if (!is_number(a[0]))
        return wrong_type(t, "a number", a[0]);
    if (n > 1 && (!index_value(a[1], 36, &radix) || radix < 2))
        return out_of_range(t, a[1]);
    format_number(a[0], radix, text);
    return string_from_utf8(t, text, strlen(text));
}
static value prim_from_string(struct thread *t, size_t n, value *a)
{
    size_t radix = 10, length;
    if (!has_type(a[0], STRING))
        return wrong_type(t, "a string", a[0]);
    if (n > 1 && (!index_value(a[1], 36, &radix) || radix < 2))
        return out_of_range(t, a[1]);
    char *text = string_utf8(a[0], 0, string_length(a[0]), &length);
    value v = parse_number(t, text, radix);
    free(text);
    return v;
}

const struct primitive number_primitives[] = {
    {"+", prim_add, 0, -1, false},
    {"*", prim_multiply, 0, -1, false},
    {"-", prim_subtract, 1, -1, false},
    {"/", prim_divide, 1, -1, false},
    {"=", prim_same, 1, -1, false},
    {"<", prim_less, 1, -1, false},
    {">", prim_greater, 1, -1, false},
    {"<=", prim_not_greater, 1, -1, false},
    {">=", prim_not_less, 1, -1, false},
    {"quotient", prim_quotient, 2, 2, false},
    {"remainder", prim_remainder, 2, 2, false},
    {"modulo", prim_modulo, 2, 2, false},
    {"truncate-quotient", prim_quotient, 2, 2, false},
    {"truncate-remainder", prim_remainder, 2, 2, false},
    {"floor-quotient", prim_floor_quotient, 2, 2, false},
    {"floor-remainder", prim_modulo, 2, 2, false},
    {"floor", prim_floor, 1, 1, false},
    {"ceiling", prim_ceiling, 1, 1, false},
    {"truncate", prim_truncate, 1, 1, false},
    {"round", prim_round, 1, 1, false},
    {"exp", prim_exp, 1, 1, false},
    {"log", prim_log, 1, 2, false},
    {"sin", prim_sin, 1, 1, false},
    {"cos", prim_cos, 1, 1, false},
    {"tan", prim_tan, 1, 1, false},
    {"asin", prim_asin, 1, 1, false},
    {"acos", prim_acos, 1, 1, false},
    {"atan", prim_atan, 1, 2, false},
    {"sqrt", prim_sqrt, 1, 1, false},
    {"%exact-root", prim_exact_root, 1, 1, false},
    {"expt", prim_expt, 2, 2, false},
    {"exact", prim_exact, 1, 1, false},
    {"inexact", prim_inexact, 1, 1, false},
    {"inexact->exact", prim_exact, 1, 1, false},
    {"exact->inexact", prim_inexact, 1, 1, false},
    {"number?", prim_is_number, 1, 1, false},
    {"complex?", prim_is_number, 1, 1, false},
    {"real?", prim_is_number, 1, 1, false},
    {"rational?", prim_is_rational, 1, 1, false},
    {"integer?", prim_is_integer, 1, 1, false},
    {"exact-integer?", prim_is_fixnum, 1, 1, false},
    {"exact-rational?", prim_is_fixnum, 1, 1, false},
    {"exact?", prim_is_exact, 1, 1, false},
    {"inexact?", prim_is_inexact, 1, 1, false},
    {"finite?", prim_is_rational, 1, 1, false},
    {"nan?", prim_is_nan, 1, 1, false},
    {"infinite?", prim_is_infinite, 1, 1, false},
    {"bitwise-and", prim_and, 0, -1, false},
    {"bitwise-or", prim_or, 0, -1, false},
    {"bitwise-xor", prim_xor, 0, -1, false},
    {"arithmetic-shift", prim_shift, 2, 2, false},
    {"number->string", prim_to_string, 1, 2, false},
    {"string->number", prim_from_string, 1, 2, false},
    {0},
};
