//! What a student wrote is data: text of unknown origin made fit for a page, a terminal or a report.
//!
//! Everyone who shows logs, file names, answers or labels calls this room, and it knows of no other.
//! A page escapes for itself (askama), so [`visible`] is all it needs; only [`ansi_to_html`] returns
//! markup.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character has no shape of its own, or changes how its neighbours are shown: controls,
/// bidirectional marks and overrides (Unicode TR 36, 2.7), zero-width and filler characters, tags.
/// Line feed and tab do not count. The emoji variation selector does not either.
fn is_hidden(c: char) -> bool {
    if c.is_control() {
        return !matches!(c, '\n' | '\t');
    }
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

fn push_visible(out: &mut String, c: char) {
    if is_hidden(c) {
        // Writing to a String cannot fail.
        let _ = write!(out, "⟨U+{:04X}⟩", u32::from(c));
    } else {
        out.push(c);
    }
}

/// The text with control, bidirectional and zero-width characters written out, such as `⟨U+202E⟩`.
/// Line feeds and tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push_visible(&mut out, c);
    }
    Cow::Owned(out)
}

/// The text without terminal escape sequences (colours, cursor movements, titles, hyperlinks).
/// Everything else stays as it was, so that a matcher sees what the program printed.
#[must_use]
pub fn ansi_stripped(text: &str) -> Cow<'_, str> {
    if !text.contains(INTRODUCERS) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        if let Piece::Char(c) = piece {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The text as it may be written to a terminal: escape sequences taken out, other control and
/// bidirectional characters written out, so that it can neither move the cursor nor pose as another
/// text.
#[must_use]
pub fn for_terminal(text: &str) -> String {
    visible(&ansi_stripped(text)).into_owned()
}

/// At most `bytes` bytes of the text: its beginning and its end, with a line between them that says
/// how much was left out. Where not even that line fits, only a beginning.
#[must_use]
pub fn cut_middle(text: &str, bytes: usize) -> Cow<'_, str> {
    if text.len() <= bytes {
        return Cow::Borrowed(text);
    }
    let note = |left_out: usize| format!("\n… {left_out} bytes left out …\n");
    let Some(room) = bytes.checked_sub(note(text.len()).len()).filter(|room| *room > 0) else {
        return Cow::Borrowed(&text[..text.floor_char_boundary(bytes)]);
    };
    let head = text.floor_char_boundary(room.div_ceil(2));
    let tail = text.ceil_char_boundary(text.len() - room / 2);
    Cow::Owned(format!("{}{}{}", &text[..head], note(tail - head), &text[tail..]))
}

/// Escape sequences begin with ESC, or with one of the C1 characters that stand for ESC and a letter
/// (ECMA-48, 5.3): DCS, SOS, CSI, OSC, PM, APC.
const INTRODUCERS: [char; 7] = ['\u{1b}', '\u{90}', '\u{98}', '\u{9b}', '\u{9d}', '\u{9e}', '\u{9f}'];

/// A text with its escape sequences told apart.
enum Piece<'a> {
    Char(char),
    /// Parameters of a "select graphic rendition" sequence, such as `1;31`.
    Style(&'a str),
    /// Any other sequence.
    Other,
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let c = rest.chars().next()?;
        let (piece, length) = if INTRODUCERS.contains(&c) { sequence(rest) } else { None }
            // An unfinished sequence must not swallow what follows: its introducer counts as a character.
            .unwrap_or((Piece::Char(c), c.len_utf8()));
        rest = &rest[length..];
        Some(piece)
    })
}

/// The escape sequence at the start of `text` and its length in bytes; `None` where it does not end.
fn sequence(text: &str) -> Option<(Piece<'_>, usize)> {
    let mut chars = text.char_indices();
    let introducer = match chars.next()?.1 {
        '\u{1b}' => chars.next()?.1,
        '\u{90}' => 'P',
        '\u{98}' => 'X',
        '\u{9b}' => '[',
        '\u{9d}' => ']',
        '\u{9e}' => '^',
        _ => '_',
    };
    let start = chars.offset();
    match introducer {
        '[' => {
            for (at, c) in chars {
                match c {
                    '\u{20}'..='\u{3f}' => {}
                    '\u{40}'..='\u{7e}' => {
                        let body = &text[start..at];
                        let plain = body.bytes().all(|b| b.is_ascii_digit() || b == b';' || b == b':');
                        let piece = if c == 'm' && plain { Piece::Style(body) } else { Piece::Other };
                        return Some((piece, at + 1));
                    }
                    _ => return None,
                }
            }
            None
        }
        ']' | 'P' | 'X' | '^' | '_' => {
            let mut escaped = false;
            for (at, c) in chars {
                match c {
                    '\u{7}' | '\u{9c}' => return Some((Piece::Other, at + c.len_utf8())),
                    '\\' if escaped => return Some((Piece::Other, at + 1)),
                    '\n' => return None,
                    _ => escaped = c == '\u{1b}',
                }
            }
            None
        }
        '\u{20}'..='\u{2f}' => {
            for (at, c) in chars {
                match c {
                    '\u{20}'..='\u{2f}' => {}
                    '\u{30}'..='\u{7e}' => return Some((Piece::Other, at + 1)),
                    _ => return None,
                }
            }
            None
        }
        '\u{30}'..='\u{7e}' => Some((Piece::Other, start)),
        _ => None,
    }
}

/// How text is shown, as far as classes tell.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    /// One of the sixteen colours, 0 to 15.
    foreground: Option<u8>,
    background: Option<u8>,
    /// By SGR number: 1 bold, 2 dim, 3 italic, 4 underlined, 7 inverse, 9 struck out.
    attributes: [bool; 10],
}

impl Style {
    /// Applies the parameters of an SGR sequence (ECMA-48, 8.3.117; colours 38 and 48 as in
    /// ITU-T T.416). "Conceal" and "blink" are left out: the first would hide text from a trainer,
    /// the second helps nobody.
    fn apply(&mut self, parameters: &str) {
        let mut numbers = parameters
            .split(';')
            .flat_map(|part| {
                // `38:2::10:20:30` has an empty colour space between the mode and the colour.
                let fields: Vec<&str> = part.split(':').collect();
                if fields.len() == 6 { [&fields[..2], &fields[3..]].concat() } else { fields }
            })
            .map(|number| if number.is_empty() { 0 } else { number.parse::<u16>().unwrap_or(u16::MAX) });
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1..=4 | 7 | 9 => self.attributes[usize::from(number)] = true,
                21 => self.attributes[4] = true,
                22 => self.attributes[1..=2].fill(false),
                23 | 24 | 27 | 29 => self.attributes[usize::from(number - 20)] = false,
                30..=37 => self.foreground = u8::try_from(number - 30).ok(),
                39 => self.foreground = None,
                40..=47 => self.background = u8::try_from(number - 40).ok(),
                49 => self.background = None,
                90..=97 => self.foreground = u8::try_from(number - 82).ok(),
                100..=107 => self.background = u8::try_from(number - 92).ok(),
                38 | 48 | 58 => {
                    let mut byte = || numbers.next().and_then(|number| u8::try_from(number).ok());
                    let colour = match byte() {
                        Some(5) => byte().map(sixteen_of_256),
                        Some(2) => byte().zip(byte()).zip(byte()).map(|((r, g), b)| nearest([r, g, b])),
                        _ => None,
                    };
                    match number {
                        38 => self.foreground = colour,
                        48 => self.background = colour,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }

    fn classes(self) -> String {
        let on = self.attributes.iter().enumerate().filter(|(_, on)| **on);
        let mut classes: Vec<String> = on.map(|(number, _)| format!("a-{number}")).collect();
        let class = |colour: u8, base: u8| {
            let number = if colour < 8 { base + colour } else { base + 52 + colour };
            format!("a-{number}")
        };
        classes.extend(self.foreground.map(|colour| class(colour, 30)));
        // Text in the colour of its background would be hidden; then the background goes.
        classes
            .extend(self.background.filter(|b| Some(*b) != self.foreground).map(|colour| class(colour, 40)));
        classes.join(" ")
    }
}

/// The sixteen colours as xterm has them.
const SIXTEEN: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

/// The one of the sixteen that is nearest to an RGB colour.
fn nearest(rgb: [u8; 3]) -> u8 {
    let distance = |other: &[u8; 3]| -> u32 {
        rgb.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
    };
    (0u8..).zip(SIXTEEN.iter()).min_by_key(|(_, other)| distance(other)).map_or(7, |(index, _)| index)
}

/// xterm's 256 colours: the sixteen, a cube of 6 by 6 by 6, a ramp of 24 greys.
fn sixteen_of_256(index: u8) -> u8 {
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    match index {
        0..=15 => index,
        16..=231 => {
            let cube = index - 16;
            nearest([level(cube / 36), level(cube / 6 % 6), level(cube % 6)])
        }
        232..=255 => nearest([8 + 10 * (index - 232); 3]),
    }
}

/// One line of output as safe HTML: colours and styles as `<span class="…">`, everything else escaped,
/// other escape sequences taken out, other control and bidirectional characters written out.
///
/// The classes are the numbers of ECMA-48: `a-1` bold, `a-2` dim, `a-3` italic, `a-4` underlined, `a-7`
/// inverse, `a-9` struck out; `a-30` to `a-37` and `a-90` to `a-97` the text's colour, `a-40` to `a-47`
/// and `a-100` to `a-107` the background's. Colours of the 256 and of true colour become the nearest of
/// the sixteen, so that a page can keep its contrast in light and dark. There are no inline styles.
#[must_use]
pub fn ansi_to_html(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + line.len() / 8);
    let mut style = Style::default();
    let mut open = Style::default();
    for piece in pieces(line.strip_suffix('\r').unwrap_or(line)) {
        match piece {
            Piece::Style(parameters) => style.apply(parameters),
            Piece::Other => {}
            Piece::Char(c) => {
                if style != open {
                    if open != Style::default() {
                        out.push_str("</span>");
                    }
                    if style != Style::default() {
                        let _ = write!(out, "<span class=\"{}\">", style.classes());
                    }
                    open = style;
                }
                match c {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '"' => out.push_str("&quot;"),
                    '\'' => out.push_str("&#39;"),
                    _ => push_visible(&mut out, c),
                }
            }
        }
    }
    if open != Style::default() {
        out.push_str("</span>");
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hidden_characters_are_written_out() {
        assert_eq!(visible("plain\n\ttext é 👍🏽"), "plain\n\ttext é 👍🏽");
        assert_eq!(visible("a\u{202e}b\u{200b}\u{1b}[1m\r"), "a⟨U+202E⟩b⟨U+200B⟩⟨U+001B⟩[1m⟨U+000D⟩");
        assert_eq!(visible("\u{e0041}\0"), "⟨U+E0041⟩⟨U+0000⟩");
    }

    #[test]
    fn colours_become_classes() {
        for (line, html) in [
            ("plain & <b>", "plain &amp; &lt;b&gt;"),
            ("\u{1b}[31mred\u{1b}[0m done", "<span class=\"a-31\">red</span> done"),
            ("\u{1b}[1;32mok\u{1b}[22m!", "<span class=\"a-1 a-32\">ok</span><span class=\"a-32\">!</span>"),
            ("\u{1b}[mx\u{1b}[91;103my", "x<span class=\"a-91 a-103\">y</span>"),
            ("\u{1b}[38;5;196mx\u{1b}[38;5;9mx", "<span class=\"a-91\">xx</span>"),
            ("\u{1b}[48;2;0;0;230mx", "<span class=\"a-44\">x</span>"),
            ("\u{1b}[38:2::255:255:0mx", "<span class=\"a-93\">x</span>"),
            ("\u{1b}[30;40mhidden", "<span class=\"a-30\">hidden</span>"),
            ("\u{1b}[8mnot concealed", "not concealed"),
            ("\u{1b}[2J\u{1b}[1;1Hhome", "home"),
            ("\u{1b}]0;title\u{7}x\u{1b}]8;;http://e\u{1b}\\link\u{1b}]8;;\u{1b}\\", "xlink"),
            ("\u{1b}(Bx\u{1b}=y\u{1b}P1$r\u{1b}\\z", "xyz"),
            ("\u{9b}31mc1", "<span class=\"a-31\">c1</span>"),
            ("\u{1b}]unfinished <x>", "⟨U+001B⟩]unfinished &lt;x&gt;"),
            ("\u{1b}[31", "⟨U+001B⟩[31"),
            ("\u{1b}[99999999999999;31mx", "<span class=\"a-31\">x</span>"),
            ("\u{1b}[38;5mx", "x"),
            ("windows\r", "windows"),
            ("10%\r20%", "10%⟨U+000D⟩20%"),
        ] {
            assert_eq!(ansi_to_html(line), html, "{line:?}");
        }
    }

    #[test]
    fn stripping_keeps_the_rest() {
        assert_eq!(ansi_stripped("\u{1b}[1mhello\u{1b}[0m\r\n"), "hello\r\n");
        assert_eq!(for_terminal("\u{1b}[31mred\u{1b}[0m\u{7}\u{202e}"), "red⟨U+0007⟩⟨U+202E⟩");
    }

    #[test]
    fn the_middle_is_cut_on_character_boundaries() {
        assert_eq!(cut_middle("short", 5), "short");
        let long = "é".repeat(500);
        let cut = cut_middle(&long, 100);
        assert!(cut.len() <= 100 && cut.starts_with("éé") && cut.ends_with("éé"), "{cut}");
        assert!(cut.contains("bytes left out"));
        assert_eq!(cut_middle("ééééé", 3), "é");
    }

    /// Texts in which escape sequences and hidden characters are frequent.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<char>().prop_map(String::from),
            "[\u{1b}\u{9b}\u{9d}\u{90}\u{7}\u{9c}\\\\\\[\\]<>&\"'\u{202a}-\u{202e}\u{2066}-\u{2069};:m0-9P(]{0,6}",
            "\u{1b}\\[[0-9;:]{0,12}m",
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_hostile_comes_out(text in hostile()) {
            let html = ansi_to_html(&text);
            let bare = html.replace("</span>", "");
            let bare = regex::Regex::new("<span class=\"[a0-9 -]+\">").unwrap().replace_all(&bare, "");
            prop_assert!(!bare.contains(['<', '>', '"', '\'']), "{html}");
            prop_assert_eq!(html.matches("<span").count(), html.matches("</span>").count());
            for out in [html.clone(), visible(&text).into_owned(), for_terminal(&text)] {
                prop_assert!(!out.contains(is_hidden), "{out:?}");
            }
        }

        #[test]
        fn a_cut_fits(text in ".{0,200}", bytes in 0usize..120) {
            let cut = cut_middle(&text, bytes);
            prop_assert!(cut.len() <= bytes);
        }

        #[test]
        fn units_never_panic(text in hostile()) {
            let _ = text.parse::<crate::units::ByteSize>();
            let _ = text.parse::<crate::units::Span>();
        }
    }
}
