--- Glyphs and colours of charts, and the line of coloured text they are put on. The only place that
-- knows what a mark looks like and which escape sequence stands for a use of colour.
local M = {}

local term = require("oomph.term")

M.unicode = {
    spark = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" },
    bar = "█", eighths = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }, beyond = "▒",
    line = "│", crossed = "┃", device = "┊", head = "╷",
    weights = "█", kv = "▓", activations = "▒", overhead = "░",
    markers = { "●", "○", "◆", "◇", "▲", "△", "■", "□" },
    axis = "│", tick_y = "┤", corner = "└", corner_heat = "└", base = "─", tick_x = "┬",
    shades = { half = "░", most = "▒", tight = "▓", over = "·" },
    level = "╌", ok = "✓", bad = "✗", tight = "!", clipped = "»", ellipsis = "…",
}

M.ascii = {
    spark = { "_", ".", "-", "=", "+", "*", "#", "@" },
    bar = "#", beyond = "x",
    line = "|", crossed = "|", device = ":", head = "|",
    weights = "W", kv = "K", activations = "A", overhead = "o",
    markers = { "a", "b", "c", "d", "e", "f", "g", "h" }, shared = "*",
    axis = "|", tick_y = "+", corner = "+", corner_heat = "+", base = "-", tick_x = "+",
    shades = { half = ".", most = "+", tight = "#", over = "-" },
    level = "=", ok = "+", bad = "x", tight = "!", clipped = ">", ellipsis = "..",
}

-- Uses of colour: {of 256, of the terminal's 16, bold}. The eight hues are told apart by people who
-- do not see red and green (after Okabe and Ito's palette).
local COLOURS = {
    fits = { 32, 4 }, tight = { 214, 3 }, over = { 166, 5 },
    weights = { 32, 4 }, kv = { 214, 3 }, activations = { 36, 6 }, overhead = { 175, 7 },
    series1 = { 32, 4 }, series2 = { 214, 3 }, series3 = { 166, 5 }, series4 = { 36, 6 },
    series5 = { 175, 4, true }, series6 = { 74, 3, true },
    series7 = { 221, 5, true }, series8 = { 250, 6, true },
    dark = { 16, 0 }, light = { 231, 7, true },
}

local function escape(fg, bg, colour)
    local codes = {}
    if fg == "dim" then
        codes[1] = "2"
    elseif fg then
        local c = COLOURS[fg]
        if colour == "256" then
            codes[1] = "38;5;" .. c[1]
        else
            codes[1] = (c[3] and "1;" or "") .. 30 + c[2]
        end
    end
    if bg then
        local c = COLOURS[bg]
        codes[#codes + 1] = colour == "256" and "48;5;" .. c[1] or tostring(40 + c[2])
    end
    return "\27[" .. table.concat(codes, ";") .. "m"
end

local Line = {}
Line.__index = Line

--- An empty line. colour is "256", "16" or "none".
function M.line(colour)
    return setmetatable({ colour = colour, width = 0 }, Line)
end

--- Append text; fg and bg name a use of colour or are nil. Returns the line.
function Line:add(text, fg, bg)
    if text == "" then
        return self
    end
    local last = self[#self]
    self.width = self.width + term.width(text)
    if last and last.fg == fg and last.bg == bg then
        last.text = last.text .. text
    else
        self[#self + 1] = { text = text, fg = fg, bg = bg }
    end
    return self
end

--- Blanks up to a column (counted from 0).
function Line:to(column)
    return self:add((" "):rep(column - self.width))
end

--- The line as a string: no trailing blanks, every colour switched off at its end.
function Line:text()
    while #self > 0 and not self[#self].bg do
        local last = self[#self]
        last.text = last.text:gsub(" +$", "")
        if last.text ~= "" then
            break
        end
        self[#self] = nil
    end
    local out, on = {}, false
    for _, run in ipairs(self) do
        if self.colour ~= "none" and (run.fg or run.bg) then
            out[#out + 1] = (on and "\27[0m" or "") .. escape(run.fg, run.bg, self.colour)
            on = true
        elseif on then
            out[#out + 1] = "\27[0m"
            on = false
        end
        out[#out + 1] = run.text
    end
    return table.concat(out) .. (on and "\27[0m" or "")
end

return M
