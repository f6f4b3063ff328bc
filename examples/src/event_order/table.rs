//! Orders side by side.

use crate::page::Page;

/// Orders of callbacks, one column each. Those that are the same share a column.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
struct Column {
    names: Vec<String>,
    lines: Vec<String>,
}

impl Table {
    /// Adds what ran under `name`.
    pub fn add(&mut self, name: &str, lines: Vec<String>) {
        match self.columns.iter_mut().find(|column| column.lines == lines) {
            Some(column) => column.names.push(name.to_owned()),
            None => self.columns.push(Column { names: vec![name.to_owned()], lines }),
        }
    }

    /// What ran under `name`, in order.
    pub fn lines(&self, name: &str) -> Option<&[String]> {
        let column = self.columns.iter().find(|column| column.names.iter().any(|known| known == name))?;
        Some(&column.lines)
    }

    /// Writes the table: the names above, then what ran first, second and so on. Rows that differ begin with a star.
    pub fn print(&self, page: &Page) {
        let height = self.columns.iter().map(|column| column.names.len()).max().unwrap_or(0);
        for row in 0..height {
            let cells = self.columns.iter().map(|column| column.padded(column.names.get(row)));
            page.line(page.paint("1", format!("       {}", cells.collect::<String>()).trim_end()));
        }
        let rules = self.columns.iter().map(|column| format!("{}  ", "-".repeat(column.width())));
        page.line(format!("       {}", rules.collect::<String>()).trim_end());
        let len = self.columns.iter().map(|column| column.lines.len()).max().unwrap_or(0);
        for row in 0..len {
            self.print_row(page, row);
        }
    }

    fn print_row(&self, page: &Page, row: usize) {
        let first = self.columns[0].lines.get(row);
        let differs = self.columns.iter().any(|column| column.lines.get(row) != first);
        let cells = self.columns.iter().map(|column| column.padded(column.lines.get(row)));
        let line =
            format!("{} {:>2}   {}", if differs { "*" } else { " " }, row + 1, cells.collect::<String>());
        let line = line.trim_end();
        page.line(if differs { page.paint("33", line) } else { line.to_owned() });
    }
}

impl Column {
    fn width(&self) -> usize {
        self.names.iter().chain(&self.lines).map(String::len).max().unwrap_or(0)
    }

    fn padded(&self, cell: Option<&String>) -> String {
        format!("{:width$}  ", cell.map_or("", String::as_str), width = self.width())
    }
}
