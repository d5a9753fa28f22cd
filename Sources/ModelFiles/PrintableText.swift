/// `text` fit for one line of an error message.
///
/// Control characters, line separators and bidirectional marks are escaped; beyond 400 scalars the middle is left
/// out, so a name of 64 KiB cannot flood a terminal.
package func printable(_ text: String) -> String {
  var result = ""
  for scalar in shortened(text).unicodeScalars {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
      result += scalar.escaped(asASCII: true)
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}

private func shortened(_ text: String) -> String {
  let scalars = text.unicodeScalars
  guard scalars.count > 400 else { return text }
  return String(scalars.prefix(250)) + "…" + String(scalars.suffix(100))
}
