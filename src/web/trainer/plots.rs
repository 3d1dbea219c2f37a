//! Plots drawn on the server: SVG with a title and a description, and the same numbers as a table.
//!
//! Colours are classes of the style sheet, so that a plot follows light and dark; what a colour says is
//! written in the legend and in the table.

use askama::Template;

/// The widest name of a row, in characters.
const NAME: usize = 30;

/// A row of bars for each exercise.
#[derive(Template)]
#[template(path = "trainer/bars.html")]
pub(crate) struct Bars {
    /// In front of the ids.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// What is to be seen, in a sentence.
    pub(crate) about: String,
    /// What the parts of a bar are, in their order.
    pub(crate) parts: Vec<Part>,
    pub(crate) rows: Vec<BarRow>,
}

/// What a part of a bar is.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// The class of its colour.
    pub(crate) class: &'static str,
}

/// One bar.
pub(crate) struct BarRow {
    pub(crate) name: String,
    /// How much of each part.
    pub(crate) values: Vec<f64>,
    /// Each part in words.
    pub(crate) words: Vec<String>,
    /// The whole in words, beside the bar.
    pub(crate) told: String,
}

/// Columns over time.
#[derive(Template)]
#[template(path = "trainer/columns.html")]
pub(crate) struct Columns {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) about: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) spans: Vec<Column>,
}

/// One span of time.
pub(crate) struct Column {
    /// When it begins.
    pub(crate) name: String,
    /// What stands below it; empty for most.
    pub(crate) tick: String,
    pub(crate) values: Vec<usize>,
}

impl askama::filters::HtmlSafe for Bars {}
impl askama::filters::HtmlSafe for Columns {}

/// A rectangle of a drawing.
struct Rect {
    x: String,
    y: String,
    width: String,
    height: String,
    class: &'static str,
}

fn rect(x: f64, y: f64, width: f64, height: f64, class: &'static str) -> Rect {
    let text = |number: f64| format!("{number:.1}");
    Rect { x: text(x), y: text(y), width: text(width), height: text(height), class }
}

const LEFT: f64 = 236.0;
const RIGHT: f64 = 660.0;
const LINE: f64 = 30.0;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as a template passes it")]
impl Bars {
    fn height(&self) -> f64 {
        as_number(self.rows.len()) * LINE + 8.0
    }

    /// Where the text of a row stands.
    fn baseline(index: &usize) -> String {
        format!("{:.1}", as_number(*index) * LINE + 20.0)
    }

    fn short(name: &str) -> String {
        if name.chars().count() <= NAME {
            return name.to_owned();
        }
        name.chars().take(NAME - 1).chain(['…']).collect()
    }

    fn rects(&self, index: &usize) -> Vec<Rect> {
        let whole = |row: &BarRow| row.values.iter().sum::<f64>();
        let most = self.rows.iter().map(whole).fold(0.0, f64::max);
        let scale = if most > 0.0 { (RIGHT - LEFT) / most } else { 0.0 };
        let mut x = LEFT;
        let mut rects = Vec::new();
        for (value, part) in self.rows[*index].values.iter().zip(&self.parts) {
            let width = value * scale;
            if width > 0.0 {
                rects.push(rect(x, as_number(*index) * LINE + 6.0, (width - 1.0).max(1.0), 18.0, part.class));
            }
            x += width;
        }
        rects
    }
}

const FLOOR: f64 = 180.0;
const CEILING: f64 = 16.0;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as a template passes it")]
impl Columns {
    fn most(&self) -> usize {
        self.spans.iter().map(|column| column.values.iter().sum()).max().unwrap_or_default()
    }

    fn width(&self) -> f64 {
        800.0 / as_number(self.spans.len().max(1))
    }

    fn middle(&self, index: &usize) -> String {
        format!("{:.1}", 40.0 + (as_number(*index) + 0.5) * self.width())
    }

    fn rects(&self, index: &usize) -> Vec<Rect> {
        let scale = (FLOOR - CEILING) / as_number(self.most().max(1));
        let mut y = FLOOR;
        let mut rects = Vec::new();
        for (value, part) in self.spans[*index].values.iter().zip(&self.parts) {
            let height = as_number(*value) * scale;
            y -= height;
            if height > 0.0 {
                let x = 40.0 + as_number(*index) * self.width();
                rects.push(rect(x + 1.0, y, (self.width() - 2.0).max(1.0), height, part.class));
            }
        }
        rects
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count on a plot")]
pub(crate) fn as_number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_width_and_nothing_is_outside() {
        let parts = || vec![Part { name: "passed", class: "p" }, Part { name: "not yet", class: "f" }];
        let row = |values: [f64; 2]| BarRow {
            name: "A <b> with a name that is longer than there is room for".into(),
            values: values.to_vec(),
            words: vec!["one".into(), "two".into()],
            told: "three".into(),
        };
        let bars = Bars {
            id: "x",
            title: "Title",
            about: "About".into(),
            parts: parts(),
            rows: vec![row([1.0, 3.0]), row([0.0, 0.0])],
        };
        let rects = bars.rects(&0);
        assert_eq!((rects[0].x.as_str(), rects[1].x.as_str()), ("236.0", "342.0"));
        let end: f64 = rects[1].x.parse::<f64>().unwrap() + rects[1].width.parse::<f64>().unwrap();
        assert!((end - 659.0).abs() < 0.2, "{end}");
        assert!(bars.rects(&1).is_empty());
        let html = bars.to_string();
        assert!(html.contains("<title id=\"x-t\">Title</title>") && html.contains("role=\"img\""), "{html}");
        assert!(!html.contains("<b>") && html.contains("…"), "{html}");
        assert_eq!(html.matches("<td").count(), 4, "every number is in the table: {html}");
    }

    #[test]
    fn columns_stand_on_the_floor() {
        let column = |values: [usize; 2]| Column {
            name: "08:00".into(),
            tick: String::new(),
            values: values.to_vec(),
        };
        let columns = Columns {
            id: "y",
            title: "Title",
            about: "About".into(),
            parts: vec![Part { name: "passed", class: "p" }, Part { name: "not", class: "f" }],
            spans: vec![column([2, 2]), column([1, 0])],
        };
        let rects = columns.rects(&0);
        assert_eq!((rects[0].y.as_str(), rects[1].y.as_str()), ("98.0", "16.0"));
        assert_eq!(columns.rects(&1)[0].height, "41.0");
    }
}
