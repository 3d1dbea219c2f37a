//! Statements and questions: Markdown by authors, made into HTML that fits into a page of ours.
//!
//! Raw HTML is shown as the text it is, addresses are limited to ones that only lead somewhere,
//! and nothing needs an inline style, which the pages' content security policy forbids.

use pulldown_cmark::{Alignment, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};

use super::words::escaped;

/// A document for a page that shows the title itself: a first heading that repeats it is left out,
/// and what remains begins at the second level.
#[must_use]
pub fn document(markdown: &str) -> String {
    let mut events: Vec<Event<'_>> = safe(markdown).collect();
    if matches!(events.first(), Some(Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }))) {
        let end = events.iter().position(|event| *event == Event::End(TagEnd::Heading(HeadingLevel::H1)));
        events.drain(..=end.unwrap_or(0));
    }
    let top = |event: &Event<'_>| matches!(event, Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }));
    if events.iter().any(top) {
        for event in &mut events {
            match event {
                Event::Start(Tag::Heading { level, .. }) | Event::End(TagEnd::Heading(level)) => {
                    *level = below(*level);
                }
                _ => {}
            }
        }
    }
    write(events.into_iter())
}

/// A phrase in one paragraph, without the paragraph around it: titles, options, hints.
#[must_use]
pub fn phrase(markdown: &str) -> String {
    let block =
        |event: &Event<'_>| matches!(event, Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph));
    write(safe(markdown).filter(|event| !block(event)))
}

fn write<'a>(events: impl Iterator<Item = Event<'a>>) -> String {
    let mut out = String::new();
    html::push_html(&mut out, events);
    // Code may be wider than its page: whoever has a keyboard alone scrolls it when it has the focus.
    out.replace("<pre>", "<pre tabindex=\"0\">")
}

fn safe(markdown: &str) -> impl Iterator<Item = Event<'_>> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    // How many `</a>` are ours to write: links do not nest, images in them may stand as links.
    let mut dead_links = Vec::new();
    Parser::new_ext(markdown, options).map(move |event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Link { dest_url, link_type, .. }) => {
            let href = address(&dest_url, link_type);
            dead_links.push(href.is_none());
            Event::InlineHtml(href.map_or(CowStr::Borrowed(""), |href| {
                format!("<a href=\"{}\" rel=\"noopener noreferrer\">", escaped(&href)).into()
            }))
        }
        Event::End(TagEnd::Link) => {
            Event::InlineHtml(if dead_links.pop() == Some(false) { "</a>".into() } else { "".into() })
        }
        // Pictures from elsewhere would tell others who reads here; their text stands for them.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => Event::InlineHtml("".into()),
        Event::Start(Tag::Table(columns)) => Event::Start(Tag::Table(vec![Alignment::None; columns.len()])),
        other => other,
    })
}

fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

/// Where a link may lead: the web, a mailbox, or a place on the page. Relative addresses mean files
/// of the exercise's folder, which are not pages here.
fn address(url: &str, kind: LinkType) -> Option<String> {
    if kind == LinkType::Email {
        return Some(format!("mailto:{url}"));
    }
    let lower = url.to_ascii_lowercase();
    ["https://", "http://", "mailto:", "#"]
        .iter()
        .any(|start| lower.starts_with(start))
        .then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_html_is_text() {
        assert_eq!(phrase("a <b onclick=x>b</b>"), "a &lt;b onclick=x&gt;b&lt;/b&gt;");
        assert!(!document("<script>alert(1)</script>\n\n<img src=x onerror=y>").contains("<s"));
        assert!(!document("<img src=x onerror=y>").contains("<img"));
    }

    #[test]
    fn links_only_lead_somewhere() {
        assert_eq!(
            phrase("[d](https://docs.docker.com/?a=1&b=\"2\")"),
            "<a href=\"https://docs.docker.com/?a=1&amp;b=&quot;2&quot;\" rel=\"noopener noreferrer\">d</a>"
        );
        assert_eq!(phrase("[x](javascript:alert(1)) and [y](starter/app.py)"), "x and y");
        assert_eq!(phrase("[x](JavaScript:alert(1))"), "x");
        assert_eq!(phrase("![a picture](https://elsewhere.example/p.png)"), "a picture");
    }

    #[test]
    fn headings_fit_under_the_pages_own() {
        assert_eq!(document("# Title\n\n## Part\n"), "<h2>Part</h2>\n");
        assert_eq!(document("Text\n\n# Later\n\n## Deep\n"), "<p>Text</p>\n<h2>Later</h2>\n<h3>Deep</h3>\n");
    }

    #[test]
    fn nothing_needs_an_inline_style() {
        let table = document("| a | b |\n| :- | -: |\n| 1 | 2 |\n");
        assert!(table.contains("<td>1</td>"), "{table}");
        assert!(!table.contains("style="), "{table}");
    }
}
