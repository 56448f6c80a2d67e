// How models were compared, or things followed: what they were, and how it was done.

function madePanel(of = "Models") {
  const { versions, options, files, command, machine } = report.run;
  const paths = files.flatMap(({ name, path, sha256 }) => [[name, path], [`${name}: sha256`, sha256]]);
  recordPanel([[of, [...paths, ["command", command.join(" ")]]]], [["Options", flat(options)], ["Versions", flat(versions)], ["Computer", flat(machine)]]);
}
