-- How numbers read. Expected texts worked out by hand from the definitions GiB = 2^30, GB = 10^9.

local units = require("oomph.units")

local GiB = 1 << 30

test("sizes are rounded to the nearest hundredth below 100 GiB", function()
    equal(units.bytes(32121044992), "29.92 GiB") -- 29.9151...
    equal(units.bytes(16060522496), "14.96 GiB") -- 14.9575...
    equal(units.bytes(4015130624), "3.74 GiB")   -- 3.7394...
    equal(units.bytes(24564 * 2 ^ 20), "23.99 GiB") -- 23.98828125
end)

test("sizes from 100 GiB on have one decimal", function()
    equal(units.bytes(282214825984), "262.8 GiB")
    equal(units.bytes(100 * GiB), "100.0 GiB")
end)

test("smaller sizes use smaller units", function()
    equal(units.bytes(0), "0 B")
    equal(units.bytes(1023), "1023 B")
    equal(units.bytes(1024), "1.00 KiB")
    equal(units.bytes(64 * 2 ^ 20 // 1), "64.00 MiB")
end)

test("decimal units are powers of ten", function()
    equal(units.bytes(24000000000, { units = "GB" }), "24.00 GB")
    equal(units.bytes(16060522496, { units = "GB" }), "16.06 GB")
    equal(units.bytes(1500, { units = "GB" }), "1.50 kB")
end)

test("free space is rounded down and excess up", function()
    equal(units.free(9696698368), "9.03 GiB")  -- 9.0307...
    equal(units.over(6363824128), "5.93 GiB")  -- 5.9267...
    equal(units.free(17726959616), "16.50 GiB") -- 16.5095...
    equal(units.over(GiB + 1), "1.01 GiB")
    equal(units.free(2 * GiB - 1), "1.99 GiB")
end)

test("nothing over ever reads 0.00 GiB", function()
    local scale = 30 * GiB
    equal(units.over(1, { scale = scale, decimals = 2 }), "1 B")
    equal(units.over(5 * 2 ^ 20 // 1, { scale = scale, decimals = 2 }), "5.00 MiB")
    equal(units.free(5 * 2 ^ 20 // 1, { scale = scale, decimals = 2 }), "5.00 MiB")
    equal(units.bytes(100, { scale = scale, decimals = 2 }), "100 B")
    for shift = 0, 40 do
        local text = units.over(1 << shift, { scale = scale, decimals = 2 })
        assert(not text:find("^0%.00"), text)
    end
end)

test("the largest and odd integers are exact", function()
    equal(units.bytes(math.maxinteger),
        "8589934592.0 GiB") -- 2^63-1 over 2^30, to the nearest tenth
    equal(units.bytes(math.maxinteger, { round = "down" }), "8589934591.9 GiB")
    equal(units.fixed(math.maxinteger, 1, 0), "9223372036854775807")
    equal(units.fixed(1005, 1000, 2), "1.01")
    equal(units.fixed(1004, 1000, 2), "1.00")
    equal(units.fixed(-1500, 1000, 1), "-1.5")
end)

test("a float that is a whole number of bytes is taken, what is no size is refused", function()
    equal(units.bytes(24.0 * 2 ^ 30), "24.00 GiB")
    raises(function() units.bytes(0 / 0) end, "is not a size in bytes")
    raises(function() units.bytes(1 / 0) end, "is not a size in bytes")
end)

test("counts have three digits, whole numbers thin groups", function()
    equal(units.count(8030261248), "8.03 B")
    equal(units.count(70553706496), "70.6 B")
    equal(units.count(405853388800), "406 B")
    equal(units.count(124439808), "124 M")
    equal(units.count(999999999), "1.00 B")
    equal(units.count(12), "12")
    equal(units.group(131072), "131 072")
    equal(units.group(8192), "8192")
    equal(units.group(-1234567), "-1 234 567")
    equal(units.group(math.maxinteger - 1), "9 223 372 036 854 775 806")
    equal(units.group(math.maxinteger), "no limit")
end)

test("context lengths are in Ki where they are whole Ki", function()
    equal(units.ki(512), "512")
    equal(units.ki(4096), "4Ki")
    equal(units.ki(131072), "128Ki")
    equal(units.ki(1048576), "1Mi")
    equal(units.ki(10000), "10 000")
    equal(units.ki(1536), "1536")
end)

test("numbers never print as 1e+15", function()
    equal(units.number(1e15), "1000000000000000")
    equal(units.number(0.5), "0.5")
    equal(units.number(1008.25), "1008")
    equal(units.number(12.5), "12.5")
end)

test("what fits is at most 100 %, what does not at least 101 %", function()
    equal(units.percent(9, 10), 90)
    equal(units.percent(999, 1000), 99)
    equal(units.percent(1000, 1000), 100)
    equal(units.percent(1001, 1000, "up"), 101)
    equal(units.percent((1 << 62) + 1, 1 << 62, "up"), 101)
    equal(units.percent((1 << 62) - 1, 1 << 62), 100)
    equal(units.percent(1.1, 1, "up"), 110)
    equal(units.percent(2, 3, "nearest"), 67)
end)
