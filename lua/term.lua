--- Columns of text: how wide a string shows on a terminal, cutting and padding by that width,
-- and what the terminal can do (asked of the shell's host table, never guessed from here).
local M = {}

-- A character, a run of ASCII that shows as it is, or an escape sequence (CSI, or OSC up to its
-- end).
local CSI = "^\27%[[0-?]*[ -/]*[@-~]"
local OSC = "^\27%][^\7\27]*\7?"

local ranges -- loaded at the first character that needs them

local function within(list, code)
    local low, high = 1, #list // 2
    while low <= high do
        local mid = (low + high) // 2
        if code < list[2 * mid - 1] then
            high = mid - 1
        elseif code > list[2 * mid] then
            low = mid + 1
        else
            return true
        end
    end
    return false
end

local known = {}

-- Columns of one code point.
local function code_width(code)
    if code < 0x300 then
        return (code < 0x20 or code >= 0x7f and code < 0xa0) and 0 or 1
    end
    if known[code] == nil then
        ranges = ranges or require("oomph.widths")
        known[code] = within(ranges.zero, code) and 0 or within(ranges.wide, code) and 2 or 1
    end
    return known[code]
end

-- The piece of s that starts at byte i: its last byte and its columns. A byte that is no UTF-8
-- counts as one column: terminals show a replacement character for it.
local function piece(s, i)
    local byte = s:byte(i)
    if byte == 27 then
        local _, last = s:find(CSI, i)
        if not last then
            _, last = s:find(OSC, i)
        end
        return last or i, 0
    elseif byte < 0x80 then
        return i, (byte < 0x20 or byte == 0x7f) and 0 or 1
    end
    local last = i + (byte >= 0xf0 and 3 or byte >= 0xe0 and 2 or 1)
    local ok, code = pcall(utf8.codepoint, s, i)
    if byte < 0xc2 or not ok then
        return i, 1
    end
    return last, code_width(code)
end

--- Columns that a string takes: combining characters 0, East Asian wide ones 2, escapes 0.
function M.width(s)
    if not s:find("[^ -~]") then
        return #s
    end
    local columns, i = 0, 1
    while i <= #s do
        local last, wide = piece(s, i)
        columns, i = columns + wide, last + 1
    end
    return columns
end

--- Cut a string to at most n columns; what is cut ends in the ellipsis ("…" unless given).
-- Colour that was switched on before the cut is switched off after it.
function M.cut(s, n, ellipsis)
    if M.width(s) <= n then
        return s
    end
    ellipsis = ellipsis or "…"
    if M.width(ellipsis) > n then
        ellipsis = ""
    end
    local room = n - M.width(ellipsis)
    local columns, i, coloured = 0, 1, false
    while i <= #s do
        local last, wide = piece(s, i)
        if columns + wide > room then
            break
        end
        coloured = coloured or s:byte(i) == 27
        columns, i = columns + wide, last + 1
    end
    return s:sub(1, i - 1) .. ellipsis .. (coloured and "\27[0m" or "")
end

--- Fill a string with blanks to n columns. align: "left" (default), "right", "centre".
function M.pad(s, n, align)
    local missing = n - M.width(s)
    if missing <= 0 then
        return s
    elseif align == "right" then
        return (" "):rep(missing) .. s
    elseif align == "centre" then
        return (" "):rep(missing // 2) .. s .. (" "):rep(missing - missing // 2)
    end
    return s .. (" "):rep(missing)
end

local NO_BREAK = "\u{a0}" -- a blank at which a line does not end

--- The words of text after `head`, in lines of at most `width` columns; those after the first begin
-- with `hang` blanks. A number stays with the word it counts.
function M.wrap(head, text, width, hang)
    local lines, line = {}, head
    for gap, word in text:gsub("(%d) %f[%w]", "%1" .. NO_BREAK):gmatch("( *)(%S+)") do
        gap = line:find("%S$") and gap or ""
        if M.width(line .. gap .. word) > width and M.width(line) > hang then
            lines[#lines + 1], line, gap = line, (" "):rep(hang), ""
        end
        line = line .. gap .. word
    end
    lines[#lines + 1] = line
    return (table.concat(lines, "\n"):gsub(NO_BREAK, " "))
end

--- Text from outside made fit for one line: control characters and bytes that are no UTF-8 are
-- shown as \ddd, and in ASCII every other character as "?".
function M.clean(s, ascii)
    if not s:find("[^ -~]") then
        return s
    end
    local out, i = {}, 1
    while i <= #s do
        local byte, ok = s:byte(i), false
        local last = i
        if byte >= 0xc2 then
            local code
            last = i + (byte >= 0xf0 and 3 or byte >= 0xe0 and 2 or 1)
            ok, code = pcall(utf8.codepoint, s, i)
            ok = ok and code >= 0xa0
        end
        if ok then
            out[#out + 1] = ascii and ("?"):rep(M.width(s:sub(i, last))) or s:sub(i, last)
        elseif byte >= 0x20 and byte < 0x7f then
            out[#out + 1] = s:sub(i, i)
        else
            last = i
            out[#out + 1] = ("\\%03d"):format(byte)
        end
        i = last + 1
    end
    return table.concat(out)
end

--- What someone named, within an error: harmless, in one line, cut at 40 columns.
function M.name(x)
    return M.cut(M.clean(tostring(x)), 40)
end

local host -- the shell's host table; false when there is none (stock Lua)

-- A session variable; nil where there is no session (stock Lua).
local function session(name)
    local core = package.loaded["oomph.core"]
    return core and core.session and core.session(name) or nil
end

--- What text may use here: {width=, height=, colour="256"|"16"|"none", ascii=, tty=, units=}. Asked
-- anew at every call: a window may be resized while a script runs. host.term() of the shell returns
-- width, height, is_tty, colours (0, 16 or 256), utf8; the session's charset stands above the
-- terminal's. Without a shell: 80 columns, no colour.
function M.settings()
    if host == nil then
        local ok, module = pcall(require, "oomph.host")
        host = ok and type(module) == "table" and module.term and module or false
    end
    local width, height, tty, colours, utf = 80, nil, false, 0, true
    if host then
        width, height, tty, colours, utf = host.term()
    end
    local charset = session("charset") or utf and "unicode" or "ascii"
    return {
        width = math.tointeger(width) or 80,
        height = math.tointeger(height),
        colour = colours == 256 and "256" or colours == 16 and "16" or "none",
        ascii = charset == "ascii",
        tty = tty and true or false,
        units = session("units"),
    }
end

--- Prose as the terminal wants it: lines wider than it (or than `width`) are broken at blanks, what
-- goes on stands two columns further in than its line. In a file lines are as long as they are.
function M.fold(text, width)
    local settings = not width and M.settings()
    width = width or settings.tty and settings.width or math.maxinteger
    return (text:gsub("[^\n]+", function(line)
        local indent = line:match("^ *")
        return M.width(line) > width and M.wrap(indent, line, width, #indent + 2) or line
    end))
end

return M
