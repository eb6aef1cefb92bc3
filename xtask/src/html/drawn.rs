//! The disk of the image, and the smallest disk of a device, with their numbers.

use bedplate_core::bytes::bytes;
use bedplate_core::plan::{Topic, guid};
use bedplate_formats::gpt::SECTOR;

use super::bar::{self, Bar, Part};
use super::facts::Facts;
use super::markup::Markup;
use super::svg::{About, COLOURS};
use super::table::{Content, blocks, table};
use super::treemap::share;
use crate::disk::{PartitionFacts, size};

/// The disk to scale, and beside it a table with exact numbers.
pub fn section(markup: &mut Markup, facts: &Facts<'_>) {
    let parts = parts(facts);
    let plan = &facts.plan.disk;
    let mut bars = vec![Bar {
        name: format!("{}, {}", facts.disk.name, size(facts.disk.size)),
        size: facts.disk.size,
        parts: parts.iter().map(|one| one.part.clone()).collect(),
    }];
    let made = made_at_first_start(facts, parts.len());
    let needs = facts.disk.size + made.iter().map(|made| made.size).sum::<u64>();
    if !made.is_empty() {
        let parts = bars.iter().flat_map(|bar| bar.parts.clone()).chain(made.iter().cloned()).collect();
        bars.push(Bar {
            name: format!("the smallest disk of a device, {}", size(needs)),
            size: needs,
            parts,
        });
    }
    let told = parts.iter().map(|one| format!("{} of {}", one.part.name, size(one.part.size)));
    let told = format!("In the order of the disk: {}.", told.collect::<Vec<_>>().join(", "));
    let about = About { id: "drawn", title: "The disk, drawn to scale", description: &told };
    bar::draw(markup, about, &bars);
    markup.element("p", &[("class", "note")], |markup| {
        markup.text("A strip at a partition's lower edge shows how much of it is in use. ");
        if let Some(data) = plan.data.iter().find(|data| data.grow) {
            let text =
                format!("`{}` grows to the end of the disk at the first start. ", data.partition.label);
            markup.prose(&text);
        }
        if !made.is_empty() {
            markup.text(
                "What has a dashed outline is not in the image: each device makes it at its first start.",
            );
        }
    });
    let titles = ["", "partition", "holds", "size", "of the disk", "in use", "begins at byte", "bytes"];
    let row = |part: &Part, holds: &str, share: String, used: String, start: String| {
        vec![
            Content::Swatch(part.class, part.number.clone()),
            part.name.as_str().into(),
            holds.into(),
            Content::Number(size(part.size)),
            Content::Number(share),
            Content::Number(used),
            Content::Number(start),
            Content::Number(grouped(part.size)),
        ]
    };
    let rows = parts.iter().map(|Drawn { part, holds }| {
        let used = part.used.map(|used| format!("{}, {}", bytes(used), share(used, part.size)));
        let of_disk = share(part.size, facts.disk.size);
        row(part, holds, of_disk, used.unwrap_or_default(), grouped(part.start))
    });
    let nothing = String::new;
    let later = made.iter().map(|part| row(part, "made at the first start", nothing(), nothing(), nothing()));
    table(markup, "Partitions", &titles, rows.chain(later));
    markup.element("details", &[], |markup| {
        markup.leaf("summary", &[], "As the plan has it, with ids");
        blocks(markup, &facts.plan.about(Topic::Disk), Some("The disk of the plan"));
    });
    blocks(markup, &facts.plan.about(Topic::Budgets), None);
}

/// A partition of the image.
struct Drawn {
    part: Part,
    holds: String,
}

fn parts(facts: &Facts<'_>) -> Vec<Drawn> {
    let sector = facts.disk.sector_size.unwrap_or(SECTOR);
    let partitions = facts.disk.partitions.iter().zip(COLOURS.iter().cycle());
    let part = partitions.map(|(partition, class)| Drawn {
        part: Part {
            name: partition.label.clone(),
            number: partition.number.to_string(),
            start: partition.start * sector,
            size: partition.sectors * sector,
            used: facts.used.get(&partition.label).copied(),
            class,
        },
        holds: holds(partition),
    });
    part.collect()
}

/// The file system of a partition, and whether it is verified.
fn holds(partition: &PartitionFacts) -> String {
    let name = match partition.filesystem {
        Some("DM_verity_hash") => "hash tree",
        None if partition.type_guid == guid::KERNEL_IMAGE => "kernel image",
        name => name.unwrap_or_default(),
    };
    format!("{name}{}", if partition.verity { ", verified" } else { "" })
}

/// What a device adds to the disk at its first start, behind what the image has.
fn made_at_first_start(facts: &Facts<'_>, count: usize) -> Vec<Part> {
    let plan = &facts.plan.disk;
    let second = plan.slots.iter().flat_map(|slots| {
        let sizes = slots.first(plan).map(|partition| partition.size);
        slots.second.iter().map(|(_, label)| label.clone()).zip(sizes)
    });
    let encrypted = plan.encrypted().map(|data| (data.partition.label.clone(), data.partition.size));
    let mut start = facts.disk.size;
    let made = second.chain(encrypted).enumerate().map(|(index, (name, size))| {
        let number = (count + index + 1).to_string();
        let part = Part { name, number, start, size, used: None, class: "later" };
        start += size;
        part
    });
    made.collect()
}

/// Digits in groups of three, with a space between that breaks no line.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_048_576), "1\u{202f}048\u{202f}576");
    }
}
